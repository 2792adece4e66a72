from dataclasses import replace

import pytest

from lemnis.contracts.findings import Decision, Effect, Reason
from lemnis.lessons.prove import Alerted, Case, Content, SampleRun, weigh

GATE, RULE = "lesson_2026_1", "rule-of-the-lesson"
COMMITS = ("begin", "neighbour", "hole", "other", "fix")
CASE = Case(
    lesson="2026-1", gate=GATE, rule_id=RULE, culprit="hole", commits=COMMITS, again=frozenset({"hole"}),
    fixes=("fix",), attack=frozenset({"ev-w", "ev-id"}), first=5_000, declared_digest="sha256:old",
)  # fmt: skip
FIRES, SILENT = SampleRun(3, raw=True, ocsf=True), SampleRun(3, raw=False, ocsf=False)


def decide(*denied, by=GATE, unknown=()):
    return {
        commit: Decision(
            Effect.DENY if commit in denied else Effect.UNKNOWN if commit in unknown else Effect.ALLOW,
            (Reason(by, Effect.DENY, "no"),) if commit in denied else (), (), "sha256:x",
        )
        for commit in COMMITS
    }  # fmt: skip


BEFORE = {"al-1": Alerted("another", 5_000, ("ev-id",)), "al-0": Alerted("another", 1_000, ("ev-scan",))}
OLD = Content("sha256:old", (), "", SILENT, SILENT, (), (), decide(), BEFORE)
NEW = Content(
    "sha256:new", (), GATE, FIRES, SILENT, ("test_a",), (), decide("hole"),
    {**BEFORE, "al-2": Alerted(RULE, 4_200, ("ev-w",))},
)  # fmt: skip


def test_a_good_lesson_is_proven():
    proof = weigh(CASE, OLD, NEW)
    assert proof.proven
    assert proof.reasons == ()
    counts = ("changes", "stopped", "stopped_wrongly", "alerts_added")
    assert [proof.history[name] for name in counts] == [5, 1, 0, 0]
    assert (proof.old["cause"], proof.new["cause"], proof.new["earlier_by"]) == ("allow", "deny", 800)
    assert proof.old["as_proposed"]


ADDED = {**NEW.alerts, "al-9": Alerted(RULE, 9_000, ("ev-shopper",))}


@pytest.mark.parametrize(
    ("what", "case", "old", "new"),
    [
        ("rule matches nothing", {}, {}, {"attack": SILENT, "alerts": BEFORE}),
        ("rule fires on raw only", {}, {}, {"attack": SampleRun(3, raw=True, ocsf=False)}),
        ("rule matches everything", {}, {}, {"benign": FIRES}),
        ("rule fires on others too", {}, {}, {"alerts": ADDED}),
        ("rule fires on the sample but not in the lake", {}, {}, {"alerts": BEFORE}),
        ("rule fires too late", {}, {}, {"alerts": {**BEFORE, "al-2": Alerted(RULE, 5_001, ("ev-w",))}}),
        ("another rule fires in its place", {}, {}, {"alerts": {**BEFORE, "al-2": Alerted("x", 1, ("ev-w",))}}),
        ("gate is empty", {}, {}, {"decisions": decide()}),
        ("gate stops the cause by another policy", {}, {}, {"decisions": decide("hole", by="severity")}),
        ("gate refuses everything", {}, {}, {"decisions": decide(*COMMITS)}),
        ("gate refuses a neighbour", {}, {}, {"decisions": decide("hole", "neighbour")}),
        ("gate could not look at the cause", {}, {}, {"decisions": decide(unknown=("hole",))}),
        ("gate could not look at another", {}, {}, {"decisions": decide("hole", unknown=("other",))}),
        ("old gate could not look", {}, {"decisions": decide(unknown=("other",))}, {}),
        ("old gate stopped it already", {}, {"decisions": decide("hole")}, {}),
        ("nothing was judged", {"commits": ()}, {}, {}),
        ("policy's test fails", {}, {}, {"policy_failures": ("test_a",)}),
        ("policy has no test", {}, {}, {"policy_tests": ()}),
        ("sample is empty", {}, {}, {"attack": SampleRun(0, raw=False, ocsf=False)}),
        ("sample cannot be read", {}, {}, {"attack": replace(FIRES, trouble="a record was not read")}),
        ("benign sample is empty", {}, {}, {"benign": SampleRun(0, raw=False, ocsf=False)}),
        ("base has the rule", {}, {"same": "an_older_one", "attack": FIRES}, {}),
        ("test fails for a wrong reason", {}, {"attack": SampleRun(0, raw=False, ocsf=False, trouble="no source")}, {}),
        ("content is invalid", {}, {}, {"problems": ("threat.yaml:1:1: state: wrong",)}),
        ("sample was not scrubbed", {"unscrubbed": ("attack.log",)}, {}, {}),
        ("another file is changed too", {"beside": ("content/policies/other/policy.rego",)}, {}, {}),
        ("an alert is lost", {}, {}, {"alerts": {"al-1": BEFORE["al-1"], "al-2": NEW.alerts["al-2"]}}),
        ("a refusal is lost", {}, {"decisions": decide("neighbour", by="severity")}, {}),
        ("another commit is blamed", {"culprit": "other"}, {}, {"decisions": decide("other")}),
    ],
)  # fmt: skip
def test_a_lesson_that_does_not_hold_is_not_proven(what, case, old, new):
    proof = weigh(replace(CASE, **case), replace(OLD, **old), replace(NEW, **new))
    assert not proof.proven, what
    assert proof.reasons
    assert all(": " in reason for reason in proof.reasons)


def test_a_cost_that_the_lesson_states_is_accepted():
    stated = replace(CASE, declared_wrongly=frozenset({"neighbour"}), declared_alerts=1)
    proof = weigh(stated, OLD, replace(NEW, decisions=decide("hole", "neighbour"), alerts=ADDED))
    assert proof.proven
    assert (proof.wrongly, proof.history["alerts_added"]) == (("neighbour",), 1)


def test_stopping_the_cause_again_is_right_and_what_was_stopped_before_is_not_counted():
    again = replace(CASE, again=frozenset({"hole", "other"}))
    old = replace(OLD, decisions=decide("neighbour", by="severity"))
    proof = weigh(again, old, replace(NEW, decisions=decide("hole", "other", "neighbour")))
    assert proof.proven
    assert proof.stopped == ("hole", "other")


def test_alerting_in_the_same_moment_is_early_enough():
    new = replace(NEW, alerts={**BEFORE, "al-2": Alerted(RULE, 5_000, ("ev-id",))})
    assert weigh(CASE, OLD, new).proven
