"""A gate tried on what it decided before: which outcomes a change changes, and why."""

import pytest

from lemnis import app
from lemnis.app import gate_trial, gates, scans
from lemnis.app.gate_trial import Change
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import ManualClock, from_iso
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.findings import Effect, Finding, Health, ScanHealth, ScanReport
from lemnis.contracts.ids import stable_id
from lemnis.store.git import Repository

AT = from_iso("2026-03-10T12:00:00Z")
POLICY = "new_findings_below_medium"
NEVER = f'package lemnis.{POLICY}\nimport rego.v1\ndeny contains reason if {{\n  false\n  reason := {{"message": "m"}}\n}}\n'
IMAGE = "sha256:" + "ab" * 32


@pytest.fixture(autouse=True)
def scanner(monkeypatch):
    def reports(_workspace, repository, commits, *, library=None):
        return {one.id: ScanReport(tuple(_found(repository, one)), (_health(),)) for one in commits}

    def _found(repository, one):
        for path, data in repository.tree(one.id):
            for number, line in enumerate(data.decode().splitlines(), 1):
                if "BAD" in line:
                    name = stable_id("fp", path, line)
                    yield Finding(name, "fake", "bad", "a bad thing", Severity.HIGH, path, number, number)

    def _health():
        return ScanHealth("fake", "1", Health.OK, 1, (), 1)

    monkeypatch.setattr(scans, "reports", reports)


@pytest.fixture
def soc(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(AT))


@pytest.fixture
def shop(tmp_path):
    made = Repository.create(tmp_path / "shop")
    for n, (name, text) in enumerate(
        [("x.py", "x\n"), ("x.py", "BAD\n"), ("x.py", "y\n"), ("z.py", "z = BAD\n")]
    ):
        (made.path / name).write_text(text)
        made.commit_all(f"change {n}", author="A <a@example.org>", at=AT + n * 1000)
    return made


def tried(soc, shop, change=None, **more):
    return gate_trial.commits(
        soc, shop, "HEAD", library=app.library(soc), stage="build", change=change, **more
    )


def test_a_policy_that_only_warns_lets_pass_what_it_refused(soc, shop):
    found = tried(soc, shop, Change(POLICY, "warn"))
    assert [(one.title, one.before, one.after) for one in found.outcomes if one.changed] == [
        ("change 1", Effect.DENY, Effect.ALLOW), ("change 3", Effect.DENY, Effect.ALLOW),
    ]  # fmt: skip
    assert found.flows == {("allow", "allow"): 2, ("deny", "allow"): 2}
    [gone] = found.outcomes[1].gone
    assert (gone.policy, gone.where, gone.effect) == (POLICY, "x.py:1", Effect.DENY)
    off = tried(soc, shop, Change(POLICY, "off"))
    assert [one.after for one in off.outcomes] == [Effect.ALLOW] * 4
    assert list(app.journal(soc).entries(kind=gates.DECISION)) == []


def test_what_a_stricter_text_refuses_was_mended_or_is_still_there(soc, shop):
    (soc.content / "policies" / POLICY).mkdir(parents=True)
    (soc.content / "policies" / POLICY / "policy.yaml").write_text(
        f"id: {POLICY}\ntitle: t\nstages: [build]\n"
    )
    (soc.content / "policies" / POLICY / "policy.rego").write_text(NEVER)
    text = (
        f"package lemnis.{POLICY}\nimport rego.v1\ndeny contains reason if {{\n  some f in input.findings\n  f.new\n"
        '  reason := {"message": f.title, "where": f.where, "finding": f.fingerprint}\n}\n'
    )
    found = tried(soc, shop, Change(POLICY, text=text))
    became = {one.title: (one.mended, one.stays) for one in found.outcomes if one.changed}
    assert became == {"change 1": (("x.py:1",), ()), "change 3": ((), ("z.py:1",))}


def test_what_was_decided_then_is_held_against_today(soc, shop):
    gates.write_down(soc, "build", f"commit:{shop.resolve('HEAD')}", tried_decision(), {"repository": "shop"})
    found = tried(soc, shop)
    assert [one.before for one in found.outcomes] == [None, None, None, Effect.ALLOW]
    assert found.flows[("allow", "deny")] == 1
    assert [one.changed for one in found.outcomes] == [False, False, False, True]
    assert found.outcomes[-1].seq > 0


def tried_decision():
    from lemnis.contracts.findings import Decision  # noqa: PLC0415 - of one test

    return Decision(Effect.ALLOW, (), (), "sha256:old")


def test_images_are_judged_by_what_is_attested_now(soc):
    with pytest.raises(UsageError, match="no image yet"):
        gate_trial.images(soc, library=app.library(soc), stage="deploy")
    gates.image(soc, "deploy", IMAGE)
    found = gate_trial.images(
        soc, library=app.library(soc), stage="deploy", change=Change("image_attested", "off")
    )
    [one] = found.outcomes
    assert one.before is Effect.DENY
    assert "image_attested" in {reason.policy for reason in one.gone}


def test_whoever_looks_away_ends_the_replay(soc, shop):
    class LeftError(Exception):
        pass

    told = []

    def tell(done, of):
        told.append((done, of))
        if done == 2:
            raise LeftError

    with pytest.raises(LeftError):
        tried(soc, shop, tell=tell)
    assert told == [(0, 4), (1, 4), (2, 4)]


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        (Change("nope"), NotFoundError, "no policy"),
        (Change(POLICY, "maybe"), UsageError, "no effect"),
        (Change(POLICY, text="package lemnis.other\n"), UsageError, "package"),
        (Change(POLICY, text="x" * 60_001), UsageError, "more than"),
    ],
)
def test_a_change_that_cannot_be_tried_is_refused(soc, shop, change, error, why):
    with pytest.raises(error, match=why):
        tried(soc, shop, change)


def test_a_stage_and_a_span_are_what_they_should_be(soc, shop):
    with pytest.raises(UsageError, match="no commit"):
        gate_trial.commits(soc, shop, "HEAD..HEAD", library=app.library(soc), stage="build")
    with pytest.raises(UsageError, match="does not decide"):
        gate_trial.commits(soc, shop, "HEAD", library=app.library(soc), stage="deploy")
    assert len(tried(soc, shop, last=2).outcomes) == 2
