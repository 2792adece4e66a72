"""Each scenario goes round: traced, gated, detected, without a hand-written step. `make slow` runs them."""

import importlib
from pathlib import Path

import pytest
from harness import gated, live, play, said, settled

SCENARIOS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if "\nSCENARIO" in path.read_text(encoding="utf-8")
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_it_goes_round(name, tmp_path):
    story = play(importlib.import_module(name).SCENARIO, tmp_path)
    said(story)
    gated(story)
    settled(story)
    live(story)
