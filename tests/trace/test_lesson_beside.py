"""What stands beside a lesson's change set: its risk, exceptions that its incident made void, a slow response."""

import pytest
import yaml

from lemnis.app import lesson_beside
from lemnis.app.lesson_beside import Beside
from lemnis.contracts.handling import Timer

HOUR = 3_600_000


def except_(world, name, asset):
    folder = world.workspace.content / "exceptions"
    folder.mkdir(exist_ok=True)
    told = {
        "policy": "scan_complete", "where": "elsewhere/*", "reason": "it was in the way", "owner": "ben",
        "approved_by": "ana", "approved": "2020-01-01", "expires": "2099-01-01", "assets": [asset],
    }  # fmt: skip
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(told))


def test_it_is_told_with_the_lesson(lemnis, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    world = lemnis.world
    except_(world, "touched", "host:node-1")
    except_(world, "other", "host:elsewhere")
    world.workspace.clock.instant += 30 * 24 * HOUR
    found = lesson_beside.look(world.workspace, lemnis.written)
    assert found.problems == ()
    assert [name for name, _ in found.void] == ["touched"]
    assert {name for name, _ in found.late} == {"acknowledge", "contain", "resolve"}
    assert (found.ran, found.risk) == ((), 20)
    text = lemnis("lesson", "show", lemnis.written.id)
    assert "its risk is 20 of 25" in text
    assert "touched is void, alert al-" in text
    assert "none ran" in text
    assert f"git push REMOTE lesson/{lemnis.written.id}" in text
    assert "--set owner=@shop/shipping" in text
    [one] = lemnis("lesson", "show", lemnis.written.id, "--json")
    assert one["beside"]["risk"] == 20
    assert [it["name"] for it in one["beside"]["void_exceptions"]] == ["touched"]


def test_what_cannot_be_looked_at_is_said(lemnis):
    folder = lemnis.world.workspace.content / "exceptions"
    folder.mkdir()
    (folder / "broken.yaml").write_text("policy: [")
    found = lesson_beside.look(lemnis.world.workspace, lemnis.written)
    assert found.problems
    assert any(point.startswith("not looked at: ") for point in found.points())


@pytest.mark.parametrize(
    ("state", "left", "late"),
    [
        ("missed", -5, [("contain", 5)]),
        ("breached", -7, [("contain", 7)]),
        ("met", 3, []),
        ("running", 3, []),
    ],
)
def test_late_is_what_was_not_done_in_time(state, left, late):
    assert list(lesson_beside.slow([Timer("contain", 10, None, state, left, 0)])) == late


def test_each_playbook_counts_from_its_first_run():
    ran = lesson_beside.first([("b", 9 * HOUR), ("a", 3 * HOUR), ("a", 2 * HOUR)], HOUR)
    assert ran == {"a": HOUR, "b": 8 * HOUR}
    [_, slow] = Beside(4, late=(("contain", HOUR),), ran=tuple(ran.items())).points()
    assert "1 h 0 min too long to contain; a began 1 h 0 min after it was opened" in slow
