import pytest

from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import ContentError, UnsupportedError, UsageError
from lemnis.contracts.findings import Effect
from lemnis.policy.decide import Exempt, Policy, decide
from lemnis.policy.testing import run_tests

NOW = from_iso("2026-03-10T12:00:00Z")
BODY = """
deny contains reason if {
    some finding in input.findings
    finding.new
    reason := {"message": finding.title, "where": sprintf("%s:%d", [finding.path, finding.line]), "fix": "f"}
}
"""


def policy(body=BODY, name="x", **changes):
    return Policy(name, f"package lemnis.{name}\nimport rego.v1\n{body}", "x.rego", ("build",), **changes)


def document(*new, health=()):
    findings = [
        {"title": f"t{n}", "path": "a.py", "line": n, "new": flag, "fingerprint": f"fp-{n:016x}"}
        for n, flag in enumerate(new, 1)
    ]
    return {"stage": "build", "findings": findings, "health": list(health)}


def health(state, *errors):
    return {"tool": "bandit", "version": "1", "state": state, "files": 1, "errors": list(errors)}


def test_deny_names_place_fix_and_controls():
    made = decide([policy(controls=("NIST.SSDF.PW.7",))], document(True, False), "build")
    assert made.effect is Effect.DENY
    [reason] = made.reasons
    assert (reason.policy, reason.where, reason.fix) == ("x", "a.py:1", "f")
    assert reason.controls == ("NIST.SSDF.PW.7",)


def test_nothing_to_say_allows():
    assert decide([policy()], document(False), "build").effect is Effect.ALLOW


def test_a_warning_does_not_stop():
    made = decide([policy(warns=True)], document(True), "build")
    assert (made.effect, len(made.reasons)) == (Effect.ALLOW, 1)


@pytest.mark.parametrize(
    "body",
    [
        "deny contains to_number(input.stage)",
        "deny contains abs(input.stage)",
        "deny contains 7",
        'deny contains {"where": "a"}',
        "nothing := 1",
        "deny := 1 if input.frob",
    ],
)
def test_what_gives_no_answer_is_unknown_never_allow(body):
    made = decide([policy(), policy(body, "y")], document(False), "build")
    assert made.effect is Effect.UNKNOWN
    assert made.reasons[0].policy == "y"


def test_a_policy_without_end_is_unknown():
    pairs = "some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); i < j"
    body = f"deny contains x if {{ x := count([1 | {pairs}]) }}"
    made = decide([policy(), policy(body, "y")], document(False), "build", steps=100_000)
    assert made.effect is Effect.UNKNOWN
    assert "not finished after 100,000 steps" in made.reasons[0].message


def test_a_scanner_that_did_not_look_is_unknown_and_a_refusal_is_stronger():
    lame = health("unknown", "bandit is not installed", "b")
    made = decide([policy()], document(False, health=[lame]), "build")
    assert made.effect is Effect.UNKNOWN
    assert "not installed (and 1 more)" in made.reasons[0].message
    assert decide([policy()], document(True, health=[lame]), "build").effect is Effect.DENY
    assert decide([policy()], document(False, health=[health("ok")]), "build").effect is Effect.ALLOW


def test_a_stage_without_policies_is_wrong_use():
    with pytest.raises(UsageError, match="deploy"):
        decide([policy()], document(), "deploy")


@pytest.mark.parametrize(
    ("exempt", "effect"),
    [
        (Exempt("e", "x", "a.py:*", "", "2026-03-10"), Effect.ALLOW),
        (Exempt("e", "x", "", "fp-0000000000000001", "2026-12-31"), Effect.ALLOW),
        (Exempt("e", "x", "b.py:*", "", "2026-12-31"), Effect.DENY),
        (Exempt("e", "y", "a.py:*", "", "2026-12-31"), Effect.DENY),
        (Exempt("e", "x", "", "fp-0000000000000002", "2026-12-31"), Effect.DENY),
        (Exempt("e", "x", "a.py:*", "", "2026-03-09"), Effect.DENY),
        (Exempt("e", "x", "", "", "2026-12-31"), Effect.DENY),
    ],
)
def test_exceptions_hold_for_what_they_are_about_until_they_expire(exempt, effect):
    made = decide([policy()], document(True), "build", [exempt], NOW)
    assert made.effect is effect
    assert made.exceptions == (("e",) if effect is Effect.ALLOW else ())
    if exempt.over(NOW):
        assert "exception expired: e on 2026-03-09" in made.reasons[0].message


def test_an_exception_does_not_excuse_what_is_unknown():
    broken = policy("deny contains 7")
    made = decide([broken], document(), "build", [Exempt("e", "x", "*", "", "2027-01-01")], NOW)
    assert made.effect is Effect.UNKNOWN


TESTS = """package lemnis.x_test
import rego.v1
import data.lemnis.x
new := {"findings": [{"title": "t", "path": "a", "line": 1, "new": true}]}
test_new if count(x.deny) == 1 with input as new
test_old if count(x.deny) == 0 with input as {"findings": [{"title": "t", "path": "a", "line": 1, "new": false}]}
"""


def results(text, body=BODY):
    return {case.name: case.passed for case in run_tests(policy(body), text, "x_test.rego")}


def test_tests_run_and_notice_an_emptied_policy():
    assert results(TESTS) == {
        "test_new": True,
        "test_old": True,
        "without deny of line 4": True,
    }


def test_tests_that_would_pass_without_the_policy_fail():
    vacuous = TESTS.replace("test_new", "unused")
    assert results(vacuous) == {"test_old": True, "without deny of line 4": False}


def test_a_deny_that_no_test_needs_is_found():
    got = results(TESTS, BODY + '\ndeny contains {"message": "m"} if input.stage == "deploy"\n')
    assert [passed for name, passed in got.items() if name.startswith("without")] == [True, True, False]


def test_a_test_may_ask_about_two_inputs():
    two = "test_two if { count(x.deny) == 1 with input as new\n count(x.deny) == 0 with input as {} }"
    assert results(TESTS + two)["test_two"] is True


def test_a_test_that_is_false_or_undefined_fails():
    assert results(TESTS.replace("== 1", "== 2"))["test_new"] is False


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (TESTS.replace("test_", "probe_"), "test_"),
        (TESTS.replace("x.deny", "x.dney"), "dney"),
        (TESTS.replace("input as new", "input as nwe"), "nwe"),
        (TESTS + "test_now if count(x.deny) == 1 with time.now_ns as 1", "time.now_ns"),
        (TESTS.replace("x_test", "y_test"), "package"),
    ],
)
def test_tests_that_cannot_be_meant_are_refused(text, word):
    with pytest.raises((ContentError, UnsupportedError), match=word):
        results(text)
