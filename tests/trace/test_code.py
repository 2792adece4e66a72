"""Traces where no scanner sees the hole: by routes and stack traces; and histories that are not what they were."""

import json

import pytest
from world import AT, BUILDER, CONTAINER, IMAGE, KEY, OWNERS, World, alert, make_workspace

from lemnis import app
from lemnis.app.trace import trace_alerts
from lemnis.contracts.alerts import Entity
from lemnis.contracts.journal import NewEntry
from lemnis.contracts.provenance import Strength
from lemnis.graph import Graph, attestation
from lemnis.store.git import Repository

WEB = """\
from flask import Flask, request
from shop import labels

app = Flask(__name__)


@app.get("/labels/preview")
def preview():
    return labels.preview(request.args["text"])
"""
LABELS = """\
from shop.tools import shell


def preview(text):
    return shell(f"echo {text} | fold -w 28")
"""
TOOLS = """\
import pty


def shell(command):
    return pty.spawn(["/bin/sh", "-c", command])
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/local/lib/python3.12/site-packages/flask/app.py", line 1511, in wsgi_app
    response = self.full_dispatch_request()
  File "/app/shop/web.py", line 9, in preview
    return labels.preview(request.args["text"])
  File "/app/shop/labels.py", line 5, in preview
    return shell(f"echo {text} | fold -w 28")
ValueError: x;id
"""
STORY = (
    ("begin", {"CODEOWNERS": OWNERS, "shop/web.py": WEB, "shop/__init__.py": ""}),
    ("tool", {"shop/tools.py": TOOLS}),
    ("hole", {"shop/labels.py": LABELS}),
    ("other", {"README.md": "shop\n"}),
)


def commit(repository, name, files, number):
    for path, text in files.items():
        (repository.path / path).parent.mkdir(exist_ok=True)
        (repository.path / path).write_text(text)
    author = f"{name.title()} Dev <{name}@example.org>"
    return repository.commit_all(name, author=author, at=AT - 10_000_000 + number * 60_000)


@pytest.fixture(scope="session")
def plain_shop(tmp_path_factory):
    repository = Repository.create(tmp_path_factory.mktemp("plain") / "shop")
    return repository, {name: commit(repository, name, files, n) for n, (name, files) in enumerate(STORY)}


def settled(tmp_path, shop):
    world = World(make_workspace(tmp_path / "soc", shop), *shop)
    world.attack()
    return world


@pytest.fixture
def world(tmp_path, plain_shop):
    one = settled(tmp_path, plain_shop)
    one.attest()
    return one


@pytest.fixture
def own(tmp_path):
    """A world with a repository of the test's own."""
    repository = Repository.create(tmp_path / "shop")
    return settled(tmp_path, (repository, {n: commit(repository, n, f, i) for i, (n, f) in enumerate(STORY)}))


def follow(world):
    found = trace_alerts(world.workspace, "in-1", [alert()])
    return found, {hop.edge.relation: hop for hop in found.hops}


def log(text, at=AT - 300, container=CONTAINER):
    return {
        "metadata": {"uid": "ev-log", "log_name": "otlp_logs"}, "time": at, "class_uid": 0, "message": text,
        "device": {"hostname": "node-1", "container": {"uid": container}},
    }  # fmt: skip


def test_the_routes_handler_where_nothing_else_is_known(world):
    found, hops = follow(world)
    line = hops["has_line"].edge
    assert (line.target.value, line.method, line.strength) == (
        "shop:shop/web.py:8",
        "route",
        Strength.NAME_MATCH,
    )
    assert line.evidence["route"] == "/labels/preview"
    assert "no finding or stack trace names the line" in line.evidence["notes"][0]
    assert found.holds


def test_a_stack_trace_names_the_line(world):
    world.see(log(TRACEBACK))
    found, hops = follow(world)
    line = hops["has_line"].edge
    assert (line.target.value, line.method, line.strength) == (
        "shop:shop/labels.py:5", "stack_trace", Strength.OBSERVED,
    )  # fmt: skip
    assert line.evidence["events"] == ["ev-log"]
    assert line.evidence["calls"] == ["preview", "preview"]
    assert hops["introduced_by"].edge.target.value == world.commits["hole"]
    assert hops["owned_by"].edge.target.value == "@shop/shipping"
    assert found.holds


def test_a_stack_trace_of_another_container_is_not_looked_at(world):
    world.see(log(TRACEBACK, container="0ther0" * 10))
    assert follow(world)[1]["has_line"].edge.method == "route"


def test_a_stack_trace_that_only_came_about_then_proves_nothing(world):
    world.see(log(TRACEBACK.replace("x;id", "1"), container=None))
    line = follow(world)[1]["has_line"].edge
    assert (line.target.value, line.method, line.strength) == (
        "shop:shop/labels.py:5", "stack_trace", Strength.NAME_MATCH,
    )  # fmt: skip


def test_stack_trace_and_route_that_disagree_are_told(world):
    world.see(log(TRACEBACK.replace('"/app/shop/web.py", line 9', '"/app/shop/web.py", line 2')))
    line = follow(world)[1]["has_line"].edge
    assert (line.method, line.strength) == ("stack_trace", Strength.NAME_MATCH)
    assert "which is in no frame" in line.evidence["notes"][0]


def test_who_wrote_what_is_in_the_graph_beside_the_chain(world):
    follow(world)
    graph = Graph(app.engine(world.workspace))
    told = {
        edge.relation: str(edge.target)
        for edge in graph.edges_from(Entity.parse(f"commit:{world.commits['begin']}"))
    }
    assert told["authored_by"] == "person:begin@example.org"


def test_a_forge_tells_how_the_commit_came_in(world):
    begin = world.commits["begin"]
    payload = {"pull_request": {"number": 4, "merged": True, "merge_commit_sha": begin, "user": {"login": "ann"}},
               "repository": {"full_name": "shop/shop"}}  # fmt: skip
    world.see(api(payload))
    follow(world)
    graph = Graph(app.engine(world.workspace))
    [merged] = [e for e in graph.edges_to([Entity.parse(f"commit:{begin}")]) if e.relation == "merged_as"]
    assert (str(merged.source), merged.evidence["event"]) == ("pull_request:shop/shop#4", "ev-forge")


def api(payload):
    return {
        "metadata": {"uid": "ev-forge", "log_name": "github_webhook"}, "time": AT - 5_000_000, "class_uid": 6003,
        "raw_data": json.dumps({"payload": payload}),
    }  # fmt: skip


def test_a_file_that_was_renamed(own):
    own.shop.run("mv", "shop/labels.py", "shop/stickers.py")
    web = WEB.replace("import labels", "import stickers").replace("labels.preview(", "stickers.preview(")
    own.commits["moved"] = commit(own.shop, "moved", {"shop/web.py": web}, 9)
    own.attest(commit="moved")
    own.see(log(TRACEBACK.replace("labels.py", "stickers.py")))
    hops = follow(own)[1]
    assert hops["has_line"].edge.target.value == "shop:shop/stickers.py:5"
    wrote = hops["introduced_by"].edge
    assert (wrote.target.value, wrote.strength) == (own.commits["hole"], Strength.RECORDED)
    assert wrote.evidence["renamed_from"] == "shop/labels.py"


def test_a_stack_trace_of_before_the_rename_is_no_line(own):
    own.shop.run("mv", "shop/labels.py", "shop/stickers.py")
    own.commits["moved"] = commit(own.shop, "moved", {}, 9)
    own.attest(commit="moved")
    own.see(log(TRACEBACK))
    line = follow(own)[1]["has_line"].edge
    assert (line.target.value, line.strength) == ("shop:shop/web.py:8", Strength.NAME_MATCH)
    assert any(
        "/app/shop/labels.py, where it was raised, is no file" in one for one in line.evidence["notes"]
    )


def test_history_that_was_rewritten_after_the_build(own):
    own.attest()
    built, hole = own.commits["other"], own.commits["hole"]
    own.shop.run("reset", "-q", "--hard", own.commits["tool"])
    commit(own.shop, "base", {"LICENSE": "x\n"}, 8)
    who = {
        f"GIT_COMMITTER_{k}": v
        for k, v in (("NAME", "R"), ("EMAIL", "r@x.org"), ("DATE", "@1763999999 +0000"))
    }
    own.shop.run("cherry-pick", hole, built, extra=who)
    own.see(log(TRACEBACK))
    hops = follow(own)[1]
    line, wrote = hops["has_line"].edge, hops["introduced_by"].edge
    assert hops["built_from"].edge.target.value == built
    assert "history was rewritten" in line.evidence["rewritten"]
    assert len(line.evidence["copies"]) == 1
    assert (wrote.target.value, wrote.strength) == (hole, Strength.LABEL)
    assert wrote.evidence["copies"] == [own.shop.commits("main")[-2].id]


def test_a_commit_that_is_gone_is_broken_and_the_forced_push_is_told(own):
    gone = "d" * 40
    own.attest(commit=gone)
    own.see(
        api(
            {"ref": "refs/heads/main", "before": gone, "after": own.commits["other"], "forced": True, "commits": [],
             "sender": {"login": "mallory"}, "repository": {"full_name": "shop/shop"}}
        )
    )  # fmt: skip
    found, hops = follow(own)
    assert not found.holds
    assert hops["has_line"].edge.strength is Strength.BROKEN
    assert "a forced push of refs/heads/main by mallory" in hops["has_line"].broken


def test_a_squashed_commit(own):
    own.shop.run("switch", "-q", "-c", "topic")
    commit(own.shop, "first", {"shop/one.py": "A = 1\n"}, 5)
    wrote = commit(own.shop, "second", {"shop/labels.py": LABELS.replace("-w 28", "-w 30")}, 6)
    own.shop.run("switch", "-q", "main")
    own.shop.run("merge", "-q", "--squash", "topic")
    own.commits["squash"] = commit(own.shop, "squash", {}, 7)
    own.attest(commit="squash")
    own.see(log(TRACEBACK))
    edge = follow(own)[1]["introduced_by"].edge
    assert (edge.target.value, edge.strength) == (own.commits["squash"], Strength.LABEL)
    assert edge.evidence["squashed"]["commit"] == wrote
    assert "there Second Dev wrote the line" in edge.evidence["weaker"][0]


def test_two_builds_of_one_commit_bear_each_other_out(own):
    own.attest()
    second = attest_again(own, own.commits["other"], "run-8")
    found, hops = follow(own)
    assert found.holds
    built = hops["built_by"].edge
    assert (built.target.value, built.strength) == ("run-8", Strength.VERIFIED)
    assert built.evidence["attestation"] == second
    assert [one["build"] for one in built.evidence["also_built_by"]] == ["run-7"]


def test_the_run_that_an_attestation_names_is_in_the_graph(own):
    run = "https://github.com/example/shop/actions/runs/7"
    attest_again(own, own.commits["other"], f"{run}/attempts/2")
    follow(own)
    graph = Graph(app.engine(own.workspace))
    [edge] = [one for one in graph.related("run_by") if one.holds]
    assert (str(edge.source), str(edge.target)) == (f"build:{run}/attempts/2", f"workflow_run:{run}")
    assert edge.strength is Strength.VERIFIED
    assert edge.evidence["attestation"].startswith("sha256:")


def test_two_images_of_one_commit_have_each_their_own_build(own):
    own.attest()
    attest_again(own, own.commits["other"], "run-8", image="sha256:" + "cd" * 32)
    built = follow(own)[1]["built_by"].edge
    assert (built.target.value, built.strength) == ("run-7", Strength.VERIFIED)
    assert "also_built_by" not in built.evidence


def test_one_image_of_two_commits_is_not_believed_of_either(own):
    own.attest()
    attest_again(own, own.commits["tool"], "run-8")
    hops = follow(own)[1]
    assert hops["built_from"].edge.strength is Strength.NAME_MATCH
    assert [one["commit"] for one in hops["built_from"].edge.evidence["contradicted_by"]] == [
        own.commits["other"]
    ]


def attest_again(world, sha, run, image=IMAGE):
    statement = attestation.build_statement(
        subject="shop/web", subject_digest=image, builder=BUILDER, invocation=run,
        repository="https://git.example/shop.git", commit=sha, started=AT - 7_000, finished=AT - 6_000,
    )  # fmt: skip
    digest = app.vault(world.workspace).put(attestation.sign(statement, KEY))
    app.journal(world.workspace).append(
        NewEntry("attestation", f"image:{image}", f"attestation:{digest}", {"digest": digest})
    )
    return digest
