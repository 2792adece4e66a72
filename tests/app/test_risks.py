"""The risk register: threats, threat models, exceptions; their scores, reviews and gaps."""

from datetime import date

import pytest

from lemnis import app
from lemnis.app import risks
from lemnis.content.library import Library
from lemnis.content.schemas.threat_model import Risk as Modelled
from lemnis.contracts.clock import ManualClock
from lemnis.store.git import Repository

NOW = 1_772_366_400_000
"""1 March 2026."""
THREAT = """
id: lesson_1
title: An export runs a stranger's command
element: shop
cwes: [78]
techniques: [T1059.004]
state: realised
likelihood: 5
impact: 4
incidents: [in-0123456789abcdef]
mitigations: {gate: no_known_exploited, lesson: 2026-1}
owner: "@example/shop"
review: 2026-02-01
"""
EXCEPTION = """
policy: new_findings_below_medium
fingerprint: fp-0123456789abcdef
reason: The command is built from a fixed list.
owner: anna@example.org
approved_by: lead@example.org
approved: 2026-01-01
expires: 2026-03-31
"""
MODEL = """
name: shop
components: [{id: web}]
threats:
  - {id: stolen, title: A session is stolen, components: [web], likelihood: 4, impact: 5, state: mitigated, mitigations: ["detection:session_elsewhere"], owner: "@example/shop"}
  - {id: forgotten, title: Accepted long ago, components: [web], state: accepted}
"""


@pytest.fixture
def soc(tmp_path):
    made = app.init(tmp_path / "soc", clock=ManualClock(NOW))
    for path, text in (
        ("threats/lesson_1/threat.yaml", THREAT),
        ("exceptions/list.yaml", EXCEPTION),
        ("exceptions/broken.yaml", "policy: x"),
    ):
        file = made.content / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for name, text in (("shop", MODEL), ("bare", "")):
        repository = Repository.create(tmp_path / name)
        (tmp_path / name / ("threats.yaml" if text else "README")).write_text(text or "nothing")
        repository.commit_all("first", author="Ana <ana@example.org>", at=NOW)
    with (made.root / "lemnis.yaml").open("a") as settings:
        settings.write(f"repositories:\n  - {{name: shop, path: {tmp_path / 'shop'}}}\n  - {{name: bare, path: {tmp_path / 'bare'}}}\n  - {{name: lost, path: {tmp_path / 'lost'}}}\n")  # fmt: skip
    return made


def test_the_register_has_all_of_them_the_gravest_first(soc):
    found = risks.register(soc, Library.open(soc.content))
    by_id = {one.id: one for one in found.risks}
    assert [one.id for one in found.risks][:2] == ["threat/lesson_1", "model/shop/forgotten"]
    threat = by_id["threat/lesson_1"]
    assert (threat.figure, threat.likelihood, threat.impact) == (20, 5, 4)
    assert (threat.overdue, threat.days, threat.treatment) == (True, -28, "mitigate")
    assert "its review is overdue" in threat.gaps
    assert ("gate", "no_known_exploited") in threat.guards
    stolen = by_id["model/shop/stolen"]
    assert (stolen.figure, stolen.treatment, stolen.guards) == (
        4,
        "mitigate",
        (("detection", "session_elsewhere"),),
    )
    assert "accepted with no day on which it is looked at again" in by_id["model/shop/forgotten"].gaps
    assert "nobody owns it" in by_id["model/shop/forgotten"].gaps
    exempt = by_id["exception/list"]
    assert (exempt.figure, exempt.treatment, exempt.days, exempt.review) == (
        None,
        "accept",
        30,
        date(2026, 3, 31),
    )
    assert exempt.controls, "those of the policy that it is from"
    assert found.unmodelled == ("bare",)
    assert any("broken" in one for one in found.problems)
    assert any("lost" in one for one in found.problems)


def test_an_exception_that_ended_is_overdue(soc):
    soc.clock.advance(40 * 86_400_000)
    found = risks.register(soc, Library.open(soc.content))
    exempt = next(one for one in found.risks if one.kind == "exception")
    assert exempt.overdue
    assert "the exception is over: the gate refuses again" in exempt.gaps


def test_what_is_mitigated_says_by_what():
    bare = Modelled(id="x", title="t", components=("a",), state="mitigated")
    made = risks.of_model("shop", bare, {}, date(2026, 3, 1))
    assert "mitigated, and nothing says by what" in made.gaps
    assumed = bare.model_copy(update={"state": "assumed"})
    assert risks.of_model("shop", assumed, {}, date(2026, 3, 1)).treatment == "none yet"
    said = bare.model_copy(update={"mitigations": ("a wall of text",)})
    assert risks.of_model("shop", said, {}, date(2026, 3, 1)).guards == (("text", "a wall of text"),)
