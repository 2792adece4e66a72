"""Pages about posture: attack paths as a drawing, drift, controls with evidence, checks, the risk register."""

import asyncio
import itertools
import re
from datetime import date
from xml.etree import ElementTree as ET

import orjson
import pytest
from consoled import START, alert, browser, built, incident, joined, workspace
from hypothesis import given
from hypothesis import strategies as st

from lemnis import app
from lemnis.app import findings_life, posture_collect, posture_paths, risks
from lemnis.app.graph_collect import Options
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth, ScanReport
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.graph.store import Graph
from lemnis.interfaces.web import asking, drift, paths, posture, risk

K = EntityKind
DAY = 86_400_000
SHOP, IMAGE, LOG = (
    Entity(K.WORKLOAD, "prod/shop"),
    Entity(K.IMAGE, "sha256:" + "4b" * 32),
    Entity(K.PACKAGE, "pkg:a/log4j@2"),
)
FLAW, SELF, ROLE = (
    Entity(K.VULNERABILITY, "CVE-2021-44228"),
    Entity(K.SERVICE_ACCOUNT, "prod/shop"),
    Entity(K.ROLE, "arn:r"),
)
BUCKET, DATA, OUT = (
    Entity(K.CLOUD_RESOURCE, "arn:aws:s3:::o"),
    Entity(K.DATA_SET, "orders"),
    Entity(K.ENDPOINT, "https://shop.example/"),
)
NUMBERS = itertools.count()
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def edge(source, relation, target, **evidence):
    return Edge(source, target, relation, "kubernetes", Strength.RECORDED, evidence)


def reached(soc, *more):
    Graph(app.engine(soc)).add(
        [
            edge(SHOP, "exposes", OUT, of="Ingress"), edge(SHOP, "instance_of", IMAGE), edge(IMAGE, "contains", LOG),
            edge(FLAW, "affects", LOG, position=EVIL), edge(SHOP, "runs_as", SELF), edge(SELF, "has_role", ROLE),
            edge(ROLE, "grants", BUCKET, actions=["s3:GetObject"]), edge(DATA, "stored_in", BUCKET), *more,
        ],
        [Node(FLAW, {"score": 9.8, "exploited": True}), Node(DATA, {"labels": ["email"]})],
    )  # fmt: skip


def scan(soc, resource, *findings, revision="1"):
    health = (ScanHealth("lemnis_posture", "1", Health.OK, 1, (), 0),)
    findings_life.remember(soc, ScanReport(findings, health), resource=resource, revision=revision)


def wrong(number, rule="kubernetes_privileged", about="prod/Deployment/shop/web", **more):
    return Finding(
        f"fp-{number:016x}", "lemnis_posture", rule, "Container runs privileged", Severity.CRITICAL, "", 0, 0,
        kind=Kind.CONFIG, resource=about, **more,
    )  # fmt: skip


def shown(soc, *asked, roles=("admin", "analyst")):
    """Ask for pages, again while they are worked out beside; return them in order."""

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, f"ana-{next(NUMBERS)}", *roles)) as ana:
            found = []
            for path in asked:
                for _ in range(1_200):
                    answer = await ana.get(path)
                    if "data-again" not in answer.text:
                        break
                    await asyncio.sleep(0.05)
                found.append(answer)
            return found

    return asyncio.run(run())


def test_where_nothing_is_known_each_page_says_so(soc):
    pages = shown(soc, "/posture", "/posture/paths", "/posture/drift", "/posture/controls", "/posture/risks")
    assert [page.status_code for page in pages] == [200] * 5
    says = ("nothing was looked at", "knows no workload", "Nothing was collected", "nothing looked", "No risk is written down")  # fmt: skip
    for page, words in zip(pages, says, strict=True):
        assert words in page.text, page.url
        assert page.text.count("<h1>") == 1
        assert "style=" not in page.text


# -- attack paths ------------------------------------------------------------------------------------------


def test_a_path_is_drawn_each_thing_leads_to_its_page_and_what_breaks_it_is_named(soc):
    reached(soc)
    (path,) = posture_paths.paths(soc, None).paths
    every, one, none = shown(soc, "/posture/paths", f"/posture/paths/{path.id}", "/posture/paths/path-no")
    assert f"/posture/paths/{path.id}" in every.text
    drawing = re.search(r'<svg[^>]*class="drawing graph.*?</svg>', one.text, re.DOTALL)[0]
    links = [a.get("href") for a in ET.fromstring(drawing).iter() if a.tag.endswith("a")]  # noqa: S314 - our own
    assert len(links) == 9
    assert f"/entity?name=endpoint%3A{'https%3A%2F%2Fshop.example%2F'}" in links
    assert one.text.count(">ends</span>") == 6, "each hop of the only way, but what two hops say together"
    assert "s3:GetObject on arn:aws:s3:::o" in one.text
    assert EVIL not in one.text
    assert none.status_code == 404


def test_paths_are_filtered_and_a_lower_severity_shows_more(soc):
    mail, low = Entity(K.DATA_SET, "mail"), Entity(K.VULNERABILITY, "CVE-1")
    other, image = Entity(K.WORKLOAD, "prod/post"), Entity(K.IMAGE, "sha256:" + "cc" * 32)
    reached(soc, edge(mail, "stored_in", BUCKET), edge(other, "exposes", Entity(K.ENDPOINT, "https://post.example/"), of="Ingress"),
            edge(other, "instance_of", image), edge(image, "contains", Entity(K.PACKAGE, "pkg:a/b@1")),
            edge(low, "affects", Entity(K.PACKAGE, "pkg:a/b@1")), edge(other, "runs_as", SELF))  # fmt: skip
    Graph(app.engine(soc)).add([], [Node(low, {"score": 5.0})])
    high, medium, mails = shown(
        soc,
        "/posture/paths",
        "/posture/paths?severity=medium&sort=data",
        "/posture/paths?q=mail&personal=unknown",
    )
    assert (high.text.count("data-row="), medium.text.count("data-row="), mails.text.count("data-row=")) == (
        2,
        4,
        1,
    )
    assert "Where they meet" in high.text
    assert 'aria-sort="ascending"' in medium.text


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_each_thing_stands_after_what_leads_to_it_and_rings_end(pairs):
    things = [Entity(K.HOST, str(n)) for n in range(10)]
    edges = [(things[a], things[b]) for a, b in pairs]
    columns = paths._columns(edges)
    order = paths._ordered(columns, edges)
    assert sorted(order) == sorted(columns)
    forward = [(a, b) for a, b in pairs if a < b]
    columns = paths._columns([(things[a], things[b]) for a, b in forward])
    assert all(columns[things[a]] < columns[things[b]] for a, b in forward)


# -- drift -------------------------------------------------------------------------------------------------


def collect(soc, *, privileged, at=0):
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop", "namespace": "prod"},
        "spec": {"containers": [{"name": "web", "image": "i", "securityContext": {"privileged": privileged}}]},
    }  # fmt: skip
    file = soc.root / "cluster.json"
    file.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "List", "items": [pod]}))
    list(posture_collect.collect(soc, [file], Options(scope="eu", at=START + at)))


def test_what_changed_between_two_collections_is_told_and_has_an_address(soc):
    collect(soc, privileged=False)
    (once,) = shown(soc, "/posture/drift")
    collect(soc, privileged=True, at=60_000)
    collect(soc, privileged=False, at=120_000)
    first, second, third = map(drift.mark, posture_collect.every(soc)["kubernetes/eu"])
    scan(soc, "kubernetes/eu", wrong(1))
    last, worse, gone = shown(
        soc,
        "/posture/drift",
        f"/posture/drift?name=kubernetes/eu&before={first}&after={second}",
        f"/posture/drift?name=kubernetes/eu&before={first}&after={third}&show=gone",
    )
    assert "was collected once" in once.text
    assert "fails no more" in last.text
    assert "securityContext.privileged</span>: false → true" in worse.text
    assert 'href="/posture/checks/kubernetes_privileged"' in worse.text
    assert "Nothing changed" in gone.text
    assert "Container runs privileged" in last.text, "what began to fail in the last days"


# -- controls and checks -----------------------------------------------------------------------------------


def test_a_control_shows_what_looks_at_it_its_findings_and_its_gaps(soc):
    collect(soc, privileged=True)
    scan(soc, "kubernetes/eu", wrong(1))
    listed, one, none = shown(
        soc,
        "/posture/controls?q=PSS.Baseline.Priv",
        "/posture/controls/PSS.Baseline.Privileged",
        "/posture/controls/NO.1",
    )
    assert listed.text.count("data-row=") == 1
    assert "Pod Security Standards" in listed.text
    assert "kubernetes/eu: 0 pass, 1 fail" in one.text
    assert 'href="/posture/checks/kubernetes_privileged"' in one.text
    assert "prod/Deployment/shop/web" in one.text
    assert none.status_code == 404


def test_evidence_is_a_document_for_who_may_read_evidence_and_names_nobody(soc):
    scan(soc, "kubernetes/eu", wrong(1, about="prod/Pod/of-anna@example.org"))
    path = "/posture/evidence/PSS.Baseline.Privileged"
    page, refused = shown(soc, "/posture/controls/PSS.Baseline.Privileged", path, roles=("viewer",))
    _, sent = shown(soc, "/posture/controls/PSS.Baseline.Privileged", path)
    assert refused.status_code == 403
    assert path not in page.text
    assert "anna@example.org" not in page.text
    assert (
        sent.headers["content-disposition"] == 'attachment; filename="evidence-PSS.Baseline.Privileged.json"'
    )
    document = orjson.loads(sent.content)
    assert document["control"] == "PSS.Baseline.Privileged"
    assert "anna@example.org" not in sent.text
    assert "person~" in sent.text
    assert document["journal"]["hash"]


def test_a_check_says_why_how_to_mend_where_since_when_and_what_is_excepted(soc):
    scan(soc, "kubernetes/eu", wrong(1), wrong(2, about="prod/Pod/old/web"))
    soc.clock.advance(DAY)
    scan(soc, "kubernetes/eu", wrong(1), revision="2")
    file = soc.content / "exceptions" / "known.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f"policy: new_findings_below_medium\nfingerprint: fp-{1:016x}\nreason: It loads a driver of its node.\n"
        "owner: anna@example.org\napproved_by: lead@example.org\napproved: 2026-01-01\nexpires: 2027-01-01\n"
    )
    page, none = shown(soc, "/posture/checks/kubernetes_privileged", "/posture/checks/nothing")
    for text in ("who is in it owns the node", "To mend it:", "prod/Deployment/shop/web", "1 open, 1 mended",
                 "It loads a driver", "PSS.Baseline.Privileged", "Mended last"):  # fmt: skip
        assert text in page.text, text
    assert "anna@example.org" not in page.text
    assert none.status_code == 404


def test_what_fails_is_told_once_for_each_check_and_new_only_for_a_while(soc):
    scan(soc, "kubernetes/eu", wrong(1), wrong(2, about="x"))
    scan(soc, "kubernetes/us", wrong(3))
    rows = list(findings_life.store(soc).rows())
    now = soc.clock.now()
    (one,) = posture.failing(rows, {"kubernetes_privileged": 1}, now)
    assert (one.open, one.resources, one.new, one.ours, one.severity) == (3, 2, 3, True, "critical")
    assert posture.failing(rows, {}, now + 40 * DAY)[0].new == 0
    assert [(r.name, r.critical) for r in posture.resources(rows, now)] == [
        ("kubernetes/eu", 2),
        ("kubernetes/us", 1),
    ]
    assert [len(m.began) for m in drift.moves(rows, now)] == [2, 1]
    assert drift.moves(rows, now + 40 * DAY) == []


# -- risks -------------------------------------------------------------------------------------------------

THREAT = """
id: lesson_1
title: An export runs a stranger's command
element: shop
cwes: [78]
techniques: [T1059.004]
state: realised
likelihood: 5
impact: 4
incidents: [{incident}]
mitigations: {{gate: no_new_secrets, lesson: 2026-1}}
owner: anna@example.org
review: 2026-01-01
"""


def threat(soc, name):
    file = soc.content / "threats" / "lesson_1" / "threat.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(THREAT.format(incident=name))


def test_the_register_is_filtered_and_a_risk_shows_its_parts_and_what_it_is_tied_to(soc):
    name = incident(soc, alert(1))
    threat(soc, name)
    scan(soc, "shop", wrong(1, rule="x", cwes=(78,)))
    every, none, late, one, missing = shown(
        soc, "/posture/risks", "/posture/risks?state=accepted", "/posture/risks?due=overdue&sort=owner",
        "/posture/risks/threat/lesson_1", "/posture/risks/threat/no",
    )  # fmt: skip
    assert every.text.count("data-row=") == late.text.count("data-row=") == 1
    assert "Nothing matches" in none.text
    for text in ("5 \N{MULTIPLICATION SIGN} 4 = 20", "likelihood 5 of 5", "overdue", f"/incident/{name}", "/lesson/2026-1",
                 "/detections?technique=T1059.004", "/pipeline/problem/", "no_new_secrets"):  # fmt: skip
        assert text in one.text, text
    for page in (every, one):
        assert "anna@example.org" not in page.text
        assert "person~" in page.text
    assert missing.status_code == 404


def test_the_register_confirms_no_name_to_who_sees_none(soc):
    """By no filter: who looks finds a person by what stands for them alone."""
    threat(soc, incident(soc, alert(1)))
    (every,) = shown(soc, "/posture/risks")
    masked = re.search(r"person~[0-9a-f]+", every.text)[0]
    found = shown(
        soc, *(f"/posture/risks?{by}={who}" for by in ("q", "owner") for who in ("anna@example.org", masked))
    )
    assert [page.text.count("data-row=") for page in found] == [0, 1, 0, 1]


def test_an_incident_that_who_looks_does_not_see_is_not_named(soc):
    folder = soc.content / "policies/grave_ones_are_of_soc"
    folder.mkdir(parents=True)
    (folder / "policy.rego").write_text(
        'package lemnis.grave_ones_are_of_soc\n\ndeny contains reason if {\n\tstartswith(input.permission, "incident.")\n'
        '\treason := {"message": "grave incidents are for the team soc"}\n}\n'
    )
    (folder / "policy.yaml").write_text("id: grave_ones_are_of_soc\ntitle: t\nstages: [access]\n")
    name = incident(soc, alert(1))
    threat(soc, name)
    (one,) = shown(soc, "/posture/risks/threat/lesson_1")
    assert one.status_code == 200
    assert name not in one.text


def test_when_a_risk_is_to_be_looked_at_again():
    made = [
        risks.Risk("threat", str(d), "t", ("x",), "", "assumed", days=d, review=date(2026, 1, 1))
        for d in (-1, 0, 30, 31)
    ]
    assert [risk.due(one) for one in made] == ["overdue", "soon", "soon", "later"]
    free = risks.Risk("threat", "n", "Title", ("x",), "", "assumed")
    assert risk.due(free) == "no day"
    assert risk.wanted(free, asking.Asked({"owner": "nobody", "q": "title"}))
    assert not risk.wanted(free, asking.Asked({"q": "title y"}))
    assert risk.guards(risks.Risk("threat", "n", "t", (), "", "assumed", guards=(("lesson", "1"), ("text", "a wall")))) == [
        risk.Guard("lesson", "1", "/lesson/1"), risk.Guard("text", "a wall", ""),
    ]  # fmt: skip


# -- entities ----------------------------------------------------------------------------------------------


def test_a_service_shows_findings_posture_deploys_exposure_data_and_attack_paths(soc):
    pod = Entity(K.CONTAINER, "c1")
    reached(soc, edge(pod, "part_of", SHOP), edge(SHOP, "deployed_by", Entity(K.PERSON, "maria@example.org")))
    scan(soc, "kubernetes/eu", wrong(1))
    incident(soc, alert(1, entities=(pod,)))
    _, page = shown(soc, "/posture/paths", "/entity?name=workload:prod/shop")
    for text in ("Container runs privileged", "https://shop.example/", "from outside", "comes to by its rights",
                 "A shell was opened", "/posture/paths/path-", "person~", "Nobody is known to own it"):  # fmt: skip
        assert text in page.text, text
    assert "sha256:4b4b" in page.text
    assert "maria" not in page.text, "who deployed it"


def test_who_is_tied_to_an_entity_is_hidden(soc):
    who, commit = Entity(K.PERSON, "maria@example.org"), Entity(K.COMMIT, "c" * 40)
    Graph(app.engine(soc)).add([edge(commit, "authored_by", who), edge(SHOP, "owned_by", who)])
    commit_page, shop = shown(soc, f"/entity?name=commit:{commit.value}", "/entity?name=workload:prod/shop")
    for page in (commit_page, shop):
        assert "person~" in page.text
        assert "maria" not in page.text


def test_of_a_service_that_nobody_knows_each_part_says_what_would_tell(soc):
    (page,) = shown(soc, "/entity?name=workload:prod/none")
    for text in ("No finding is known to live in it", "No deploy of it is known", "No endpoint of it is known",
                 "No data set is known", "Nobody is known to own it", "No check fails on it"):  # fmt: skip
        assert text in page.text, text
    (user,) = shown(soc, "/entity?name=user:maria.k")
    assert "No endpoint of it is known" not in user.text
