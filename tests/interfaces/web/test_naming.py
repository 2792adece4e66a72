"""Nobody's name is on the pages of loop, pipeline, lessons and traces, until it is said what for."""

import asyncio
import subprocess

import pytest
from consoled import alert, browser, built, incident, joined, send, workspace

from lemnis import app
from lemnis.app import findings_life, gates
from lemnis.app.access import naming
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.contracts.journal import NewEntry
from lemnis.interfaces.web.incident_trace import ChainShown, HopShown, walked

LESSON = """\
id: 2026-0000001
incident: {incident}
title: A shell that maria.k opened
cause: {{repository: shop, commit: {commit}, path: a.py, line: 3, text: "# by eva@shop.example",
        author: "Nia Okoro <nia.okoro@shop.example>", owner: pat@shop.example}}
gate: no_shell
detection: a_shell
threat: a_shell
old_digest: "sha256:{digest}"
trace: ["authored_by person:nia.okoro@shop.example", "runs_on host:web-1"]
"""
PEOPLE = ("maria.k", "Nia Okoro", "nia.okoro", "eva@", "pat@", "lou@", "ada@", "kim@")


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def git(soc, *words):
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    subprocess.run(["git", *who, *words], cwd=soc.root, check=True, capture_output=True)


def teach(soc, name):
    """Merge a lesson about an incident into the workspace's own repository."""
    if not (soc.root / ".git").exists():
        git(soc, "init", "-q")
    git(soc, "add", "-A")
    git(soc, "commit", "-q", "--allow-empty", "-m", "base")
    folder = soc.content / "lessons" / "2026-0000001"
    folder.mkdir(parents=True)
    (folder / "lesson.yaml").write_text(LESSON.format(incident=name, commit="a" * 40, digest="0" * 64))
    git(soc, "add", "-A")
    git(soc, "commit", "-q", "-m", "lesson")


def refuse(soc):
    """Write down that a gate refused a change because of who wrote it; return the entry's number."""
    reason = {"policy": "signed", "effect": "deny", "message": "lou@shop.example signed nothing", "where": "a.py",
              "fix": "ask ada@shop.example", "controls": [], "exceptions_by": ""}  # fmt: skip
    payload = {
        "stage": "commit",
        "decision": "deny",
        "repository": "shop",
        "reasons": [reason],
        "content": "sha256:0",
    }
    new = NewEntry(
        gates.DECISION,
        f"commit:{'b' * 40}",
        "decision-1",
        payload,
        reason="deny: lou@shop.example signed nothing",
    )
    app.journal(soc).append(new)
    return next(one.seq for one in app.journal(soc).entries(kind=gates.DECISION))


def find(soc):
    """Keep a finding that names somebody; return its problem."""
    one = Finding(
        "fp-0000000000000001", "bandit", "r", "A key of kim@shop.example", Severity.HIGH, "a.py", 5, 5, (78,)
    )
    health = (ScanHealth("bandit", "1", Health.OK, 1, (), 1),)
    findings_life.remember(soc, ScanReport((one,), health), resource="shop", revision="r1")
    return findings_life.problems(soc, limit=1)[0].id


def test_who_a_text_names():
    assert naming.author("Nia Okoro <nia@shop.example>") == {
        "person:Nia Okoro", "person:nia@shop.example",
    }  # fmt: skip
    assert naming.author("nia") == {"person:nia"}
    assert "person:李伟 <li@shop.example>" in naming.author("李伟 <li@shop.example>")
    assert naming.author("") == set()
    plain = ["git@github.com:org/repo", "pkg:npm/left-pad@1.2.3", "image@sha256:00", "@team", "a @ b.example"]
    assert naming.addressed(plain) == set()
    assert naming.addressed(["(by A.B+c@x-y.example.org, d@e.example.)"]) == {
        "person:A.B+c@x-y.example.org", "person:d@e.example",
    }  # fmt: skip
    assert list(naming.texts({"a": ["b", {"c": "d"}], "e": 1})) == ["b", "d"]


def test_a_trace_names_who_wrote_what_it_leads_over():
    wrote = HopShown("authored_by", Entity(EntityKind.PERSON, "nia@x.example"), "git", "label", "",
                     (("name", "Nia"), ("subject", "thanks kim@x.example")))  # fmt: skip
    runs = HopShown("runs", Entity(EntityKind.HOST, "web-1"), "k8s", "observed", "", (("name", "web"),))
    assert walked([ChainShown(None, (wrote, runs), True, "", "pat@x.example")]) == {
        "person:nia@x.example", "person:Nia", "person:kim@x.example", "host:web-1", "person:pat@x.example",
    }  # fmt: skip


def test_people_are_hidden_on_loop_pipeline_and_lessons_until_it_is_said_what_for(soc):
    late = alert(1, title="maria.k opened a shell", severity=Severity.CRITICAL)
    name = incident(soc, late)
    soc.clock.advance(20 * 3_600_000)  # the time to close it ran out
    teach(soc, name)
    seq, problem = refuse(soc), find(soc)
    paths = ("/?stage=code", "/?stage=test", "/?stage=monitor", "/pipeline", f"/pipeline/decision/{seq}",
             f"/pipeline/problem/{problem}", "/lessons", "/lesson/2026-0000001")  # fmt: skip

    async def settled(who, path):
        for _ in range(1_200):
            page = await who.get(path)
            if "data-again" not in page.text:
                return page
            await asyncio.sleep(0.05)
        raise AssertionError(path)

    async def run():
        made = built(soc)
        async with browser(
            made, cookie=joined(made, "pia", "privacy_officer", "developer", "analyst")
        ) as pia:
            hidden = [await settled(pia, path) for path in paths]
            purpose = {"purpose": "who wrote the change", "back": "/"}
            await send(pia, hidden[0], "/purpose", **purpose)
            return hidden, [await settled(pia, path) for path in paths]

    hidden, seen = asyncio.run(run())
    for path, page in zip(paths, hidden, strict=True):
        assert page.status_code == 200, path
        assert not [one for one in PEOPLE if one in page.text], path
        assert "person~" in page.text, path
    for path, page in zip(paths, seen, strict=True):
        assert [one for one in PEOPLE if one in page.text], path
        assert "person~" not in page.text, path
    whole = seen[-1].text
    assert all(
        one in whole
        for one in ("Nia Okoro", "nia.okoro@shop.example", "eva@shop.example", "pat@shop.example")
    )
    told = [one for one in app.journal(soc).entries() if one.kind == "access.personal_read"]
    assert {one.payload["what"] for one in told} >= {f"GET {path.partition('?')[0]}" for path in paths}


def test_nor_does_the_api_tell_them(soc):
    teach(soc, incident(soc, alert(1, title="maria.k opened a shell", severity=Severity.CRITICAL)))
    paths = ("/lessons", "/lessons/2026-0000001", "/findings", f"/findings/{find(soc)}")

    async def run():
        made = built(soc)
        async with browser(
            made, cookie=joined(made, "pia", "privacy_officer", "developer", "analyst")
        ) as pia:
            why = {"x-purpose": "who wrote the change"}
            hidden = [await pia.get(f"/api/v1{path}") for path in paths]
            return hidden, [await pia.get(f"/api/v1{path}", headers=why) for path in paths]

    for hidden, seen in zip(*asyncio.run(run()), strict=True):
        assert (hidden.status_code, seen.status_code) == (200, 200), hidden.text
        assert not [one for one in PEOPLE[1:] if one in hidden.text], hidden.url
        assert "person~" in hidden.text
        assert [one for one in PEOPLE[1:] if one in seen.text], seen.url
        assert "person~" not in seen.text
