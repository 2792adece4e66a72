"""Each scenario goes round: traced, gated, detected, without a hand-written step. `make slow` runs them."""

import importlib
from pathlib import Path

import pytest
from harness import gated, live, play, said, settled

SCENARIOS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if "\nSCENARIO = " in path.read_text(encoding="utf-8")
)


def test_there_are_twelve():
    assert set(SCENARIOS) == {
        "command_injection", "compromised_action", "container_escape", "exposed_dashboard", "leaked_cloud_key",
        "malicious_package", "over_broad_role", "poisoned_base_image", "public_bucket", "ssrf_to_metadata",
        "stolen_session", "vulnerable_dependency",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_it_goes_round(name, tmp_path):
    story = play(importlib.import_module(name).SCENARIO, tmp_path)
    said(story)
    gated(story)
    settled(story)
    live(story)
    assert story.lesson.state == "merged"
