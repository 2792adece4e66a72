"""A vulnerable package is the cause only where something of the attack leads to it."""

import json

import pytest
from world import AT, CONTAINER, OWNERS, World, alert, make_workspace, request

from lemnis import app
from lemnis.app import feeds
from lemnis.app.lessons import the_chain
from lemnis.app.trace import trace_alerts
from lemnis.contracts.alerts import Entity
from lemnis.contracts.findings import Kind
from lemnis.contracts.provenance import Strength
from lemnis.graph import Graph
from lemnis.store.git import Repository

WEB = """\
from flask import Flask, request
import yaml_reader

app = Flask(__name__)


@app.get("/labels/preview")
def preview():
    return yaml_reader.load(request.args["text"])
"""
HOLE = WEB.replace(
    "import yaml_reader", "import subprocess"
).replace("yaml_reader.load(", "subprocess.run(").replace('["text"])', '["text"], shell=True)')  # fmt: skip
LISTED = "flask==3.0.0\nyaml-reader==1.2.0\nother-thing==1.2.0\n"
TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/local/lib/python3.12/site-packages/flask/app.py", line 1511, in wsgi_app
    response = self.full_dispatch_request()
  File "/app/shop/web.py", line 9, in preview
    return yaml_reader.load(request.args["text"])
  File "/usr/local/lib/python3.12/site-packages/yaml_reader/core.py", line 7, in load
    return construct(text)
ValueError: could not construct x;id
"""


def advisory(number, name, summary):
    return {
        "schema_version": "1.7.0", "id": f"EXAMPLE-{number}", "modified": "2025-11-01T00:00:00Z", "summary": summary,
        "aliases": [f"CVE-2025-{number}"],
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [{
            "package": {"ecosystem": "PyPI", "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.0"}]}],
        }],
    }  # fmt: skip


ADVISORIES = (
    advisory(99901, "yaml-reader", "Documents that are tagged with constructors run them"),
    advisory(99902, "flask", "Cookies are kept by caches"),
    advisory(99903, "other-thing", "Long names use much memory"),
)
EXPLOITED = {
    "catalogVersion": "1", "dateReleased": "2025-11-20T12:00:00Z", "count": 1,
    "vulnerabilities": [{"cveID": "CVE-2025-99901", "vendorProject": "x", "product": "x", "vulnerabilityName": "x",
                         "dateAdded": "2025-11-10", "shortDescription": "", "requiredAction": "", "dueDate": "2025-12-01",
                         "knownRansomwareCampaignUse": "Unknown", "notes": ""}],
}  # fmt: skip


@pytest.fixture(scope="session")
def fed(tmp_path_factory):
    """The data of feeds, made once."""
    folder = tmp_path_factory.mktemp("fed")
    (folder / "osv").mkdir()
    for number, one in enumerate(ADVISORIES):
        (folder / "osv" / f"{number}.json").write_text(json.dumps(one))
    (folder / "kev.json").write_text(json.dumps(EXPLOITED))
    for name in ("osv", "kev"):
        source = folder / ("osv" if name == "osv" else "kev.json")
        feeds.pull(folder / "feeds", name, [str(source)], now=AT, until=AT)
    return folder / "feeds"


def told(tmp_path, *rows, web=WEB):
    """A world whose service lists three vulnerable packages, and what is seen besides the attack's processes."""
    repository = Repository.create(tmp_path / "shop")
    files = {"CODEOWNERS": OWNERS, "shop/web.py": web, "shop/__init__.py": "", "requirements.txt": LISTED}
    for path, text in files.items():
        (repository.path / path).parent.mkdir(exist_ok=True)
        (repository.path / path).write_text(text)
    commit = repository.commit_all("begin", author="Begin Dev <begin@example.org>", at=AT - 9_000_000)
    shop = repository, {"other": commit}
    world = World(make_workspace(tmp_path / "soc", shop), *shop)
    world.attest()
    world.attack()
    world.see(*rows)
    return world


def follow(world):
    found = trace_alerts(world.workspace, "in-1", [alert()])
    edges = {
        h.edge.method: h.edge for chain in found.chains for h in chain.hops if h.edge.relation == "has_line"
    }
    return found, edges


def log(text, container=CONTAINER):
    return {
        "metadata": {"uid": "ev-log", "log_name": "otlp_logs"}, "time": AT - 300, "class_uid": 0, "message": text,
        "device": {"hostname": "node-1", "container": {"uid": container}},
    }  # fmt: skip


def reached(address="192.0.2.66"):
    return {
        "metadata": {"uid": "ev-c", "log_name": "linux_audit"}, "time": AT - 200, "class_uid": 4001, "activity_id": 1,
        "device": {"hostname": "node-1"}, "actor": {"process": {"pid": 500}}, "dst_endpoint": {"ip": address, "port": 80},
    }  # fmt: skip


@pytest.fixture(autouse=True)
def known(fed, monkeypatch):
    monkeypatch.setenv(feeds.VARIABLE, str(fed))


def test_that_a_package_is_vulnerable_is_no_reason(tmp_path):
    _, lines = follow(told(tmp_path))
    assert list(lines) == ["route"]


def test_a_stack_trace_in_it_that_tells_the_requests_text(tmp_path):
    world = told(tmp_path, log(TRACEBACK))
    found, lines = follow(world)
    line = lines["vulnerable_package"]
    assert (line.target.value, line.strength) == ("shop:requirements.txt:2", Strength.RECORDED)
    assert line.evidence["stack_trace"] == {"event": "ev-log", "frame": "load"}
    assert line.evidence["vulnerability"][0] == "CVE-2025-99901"
    assert (line.evidence["exploited"], "notes" in line.evidence) == (True, False)
    chain, source = the_chain(found)
    assert (source.located.path, source.located.line, source.owner) == ("requirements.txt", 2, "@shop/all")
    assert [one.kind for one in chain.facts.findings] == [Kind.DEPENDENCY]
    graph = Graph(app.engine(world.workspace))
    [affects] = graph.edges_from(Entity.parse("vulnerability:CVE-2025-99901"))
    assert str(affects.target) == "package:pkg:pypi/yaml-reader@1.2.0"


def test_a_stack_trace_of_another_container_or_above_own_code_is_none(tmp_path):
    _, lines = follow(told(tmp_path, log(TRACEBACK, container="0ther0" * 10)))
    assert "vulnerable_package" not in lines


def test_own_code_that_explains_it_weighs_more(tmp_path):
    found, lines = follow(told(tmp_path, log(TRACEBACK), web=HOLE))
    line = lines["vulnerable_package"]
    assert line.strength is Strength.NAME_MATCH
    assert "shop/web.py:9 of own code explains it" in line.evidence["notes"][0]
    assert the_chain(found)[1].located.path == "shop/web.py"


def test_a_request_in_the_words_of_an_advisory_that_is_exploited(tmp_path):
    asked = request("ev-y", AT - 450, "/labels/preview", "text=%21%21constructors%3A+%5Bos%5D", "192.0.2.7")
    found, lines = follow(told(tmp_path, asked))
    line = lines["vulnerable_package"]
    assert (line.target.value, line.strength) == ("shop:requirements.txt:2", Strength.LABEL)
    [one] = line.evidence["requests"]
    assert (one["event"], one["words"]) == ("ev-y", ["constructors"])
    assert "ev-y" in the_chain(found)[0].events


def test_words_of_an_advisory_alone_are_a_likeness_of_names(tmp_path):
    asked = request("ev-y", AT - 450, "/labels/preview", "text=%3Ccookies%3E", "192.0.2.7")
    assert list(follow(told(tmp_path, asked))[1]) == ["route"]


def test_where_nothing_else_is_known_a_likeness_is_told_as_one(tmp_path):
    asked = request("ev-y", AT - 450, "/nowhere", "text=%3Ccookies%3E", "192.0.2.7")
    _, lines = follow(told(tmp_path, asked, web=WEB.replace('"/labels/preview"', '"/elsewhere"')))
    line = lines["vulnerable_package"]
    assert (line.target.value, line.strength) == ("shop:requirements.txt:1", Strength.NAME_MATCH)


def test_words_that_anybody_uses_tell_nothing(tmp_path):
    asked = request("ev-y", AT - 450, "/labels/preview", "text=%3Ccookies%3E", "192.0.2.7")
    other = request("ev-z", AT - 9_450, "/labels/preview", "text=cookies", "192.0.2.8")
    _, lines = follow(told(tmp_path, asked, other))
    assert "vulnerable_package" not in lines


def test_an_address_that_such_a_request_named_and_the_container_reached(tmp_path):
    text = "text=%3Ccookies+http%3A%2F%2F192.0.2.66%2F%3E"
    asked = request("ev-y", AT - 450, "/labels/preview", text, "192.0.2.7")
    found, lines = follow(told(tmp_path, asked, reached()))
    line = lines["vulnerable_package"]
    assert (line.target.value, line.strength) == ("shop:requirements.txt:1", Strength.LABEL)
    assert line.evidence["reached"] == [{"event": "ev-c", "address": "192.0.2.66", "request": "ev-y"}]
    assert found.holds


def test_an_address_alone_says_nothing_of_a_package(tmp_path):
    asked = request("ev-y", AT - 450, "/labels/preview", "text=http%3A%2F%2F192.0.2.66%2F", "192.0.2.7")
    assert "vulnerable_package" not in follow(told(tmp_path, asked, reached()))[1]


def test_two_packages_for_which_as_much_speaks(tmp_path):
    both = request("ev-y", AT - 450, "/labels/preview", "text=%3Ccookies%3E+%3Cmemory+names%3E", "192.0.2.7")
    world = told(tmp_path, both, web=WEB.replace('"/labels/preview"', '"/elsewhere"'))
    line = follow(world)[1]["vulnerable_package"]
    assert line.strength is Strength.NAME_MATCH
    assert "as much speaks for pkg:pypi/" in line.evidence["notes"][0]
