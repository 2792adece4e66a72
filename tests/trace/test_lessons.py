import pytest
import yaml
from telemetry import Logs, read_in, the_incident

from lemnis import app
from lemnis.app import lessons, shelf
from lemnis.contracts.errors import NotFoundError, RefusedError


@pytest.fixture
def attacked(world, tmp_path):
    read_in(world.workspace, Logs(tmp_path / "logs").story())
    world.attest()
    return world


def test_an_incident_becomes_a_branch_beside_the_work_tree(attacked):
    git = shelf.repository(attacked.workspace)
    before = (git.resolve("HEAD"), git.run("status", "--porcelain"))
    found = lessons.propose(attacked.workspace, the_incident(attacked))
    assert (git.resolve("HEAD"), git.run("status", "--porcelain")) == before
    lesson = found.written.lesson
    assert found.state == "proposed"
    assert found.written.branch == f"lesson/{lesson.id}"
    assert found.written.base == before[0]
    assert (lesson.cause.commit, lesson.cause.path, lesson.cause.line) == (
        attacked.commits["hole"], "shop/labels.py", 4
    )  # fmt: skip
    assert lesson.cause.owner == "@shop/shipping"
    assert lesson.cost.commits_stopped_wrongly == ()
    files = shelf.lesson_files(attacked.workspace, found.written)
    assert set(dict(git.tree(found.written.commit))) - set(dict(git.tree(before[0]))) == set(files)
    rule = yaml.safe_load(files[f"content/detections/{lesson.detection}/rule.yml"])
    assert rule["detection"]["path"] == {"cs-uri-stem": "/labels/preview"}
    assert "%3B" in rule["detection"]["query"]["cs-uri-query|contains"]
    attack = files[f"content/detections/{lesson.detection}/samples/attack.log"].decode()
    assert "198.51.100.7" not in attack
    assert len(attack.splitlines()) == 5
    gates = {
        g["scope"]: (len(g["stopped"]), len(g["wrongly"]), g["chosen"])
        for g in found.proposed.payload["gates"]
    }
    assert gates == {
        "weakness": (2, 1, False), "scanner rule": (2, 1, False),
        "weakness in shop/": (1, 0, True), "scanner rule in shop/": (1, 0, False),
    }  # fmt: skip
    assert found.proposed.payload["review"][0].startswith("@shop/shipping: ")


def test_the_same_incident_gives_the_same_lesson(attacked):
    incident = the_incident(attacked)
    first = lessons.propose(attacked.workspace, incident)
    again = lessons.propose(attacked.workspace, incident)
    assert first.written == again.written
    assert [one.written.id for one in lessons.list_(attacked.workspace)] == [first.written.id]
    assert len(list(app.journal(attacked.workspace).entries(kind=lessons.PROPOSED))) == 1


def test_a_lesson_needs_a_cause(world, tmp_path):
    read_in(world.workspace, Logs(tmp_path / "logs").story())
    with pytest.raises(RefusedError, match="the trace breaks at built_by: no attestation"):
        lessons.propose(world.workspace, the_incident(world))
    assert lessons.list_(world.workspace) == []


def test_what_is_not_proven_is_not_merged(attacked):
    found = lessons.propose(attacked.workspace, the_incident(attacked))
    with pytest.raises(RefusedError, match="not proven as it stands"):
        lessons.merge(attacked.workspace, found.written.id, actor="lee")
    with pytest.raises(NotFoundError, match=r"no lesson '2000-abc123'"):
        lessons.show(attacked.workspace, "2000-abc123")
