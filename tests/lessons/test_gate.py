from dataclasses import replace

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding
from lemnis.lessons.gate import bring, brought, choose, cost, fixes, rego, rego_test, scopes
from lemnis.store.git import Commit


def finding(rule, cwe=78):
    return Finding(f"fp-{rule}", "bandit", rule, "a title", Severity.HIGH, "app/x.py", 3, 3, (cwe,))


SHELL, NO_SHELL, OTHER = finding("B602"), finding("B603"), finding("B101", 703)


def test_the_widest_scope_without_wrong_stops_wins():
    weakness, rule, *_ = scopes([SHELL])
    history = {"c1": [NO_SHELL], "c2": [SHELL, OTHER], "c3": []}
    costs = [cost(scope, history, {"c2"}) for scope in (weakness, rule)]
    assert [(one.stopped, one.wrongly) for one in costs] == [(("c1", "c2"), ("c1",)), (("c2",), ())]
    assert choose(costs, "c2").scope is rule
    free = {"c2": [SHELL], "c3": [OTHER]}
    assert choose([cost(scope, free, {"c2"}) for scope in (weakness, rule)], "c2").scope is weakness


def test_no_scope_where_the_cause_would_not_be_stopped():
    assert choose([cost(scope, {"c1": [NO_SHELL]}, {"c9"}) for scope in scopes([SHELL])], "c9") is None
    assert scopes([]) == []


def test_values_cannot_break_out_of_the_policy():
    text = rego(
        "lemnis.x", scopes([finding('B6"] } deny := true')])[1], lesson="l", message='say "no" %d', fix="a\nb"
    )
    assert '"bandit:B6\\"] } deny := true"' in text
    assert '"fix": "a\\nb"' in text
    assert "data.lemnis.x" in rego_test("lemnis.x", SHELL)


def test_whoever_brings_the_cause_in_again_is_stopped_rightly():
    history = {"c1": [SHELL], "c2": [NO_SHELL], "c3": [OTHER, SHELL]}
    again = bring(history, [SHELL])
    assert again == {"c1", "c3"}
    assert cost(scopes([SHELL])[0], history, again).wrongly == ("c2",)


def test_the_folder_of_the_cause_spares_the_tools_beside_it():
    tool = replace(SHELL, path="tools/x.py", fingerprint="fp-tool")
    costs = [cost(scope, {"c1": [tool], "c2": [SHELL]}, {"c2"}) for scope in scopes([SHELL])]
    assert [len(one.wrongly) for one in costs] == [1, 1, 0, 0]
    chosen = choose(costs, "c2").scope
    assert chosen.name == "weakness in app/"
    assert 'startswith(finding.path, "app/")' in rego("lemnis.x", chosen, lesson="l", message="m", fix="f")
    assert len(scopes([replace(SHELL, path="x.py")])) == 2


def commit(name, *parents):
    return Commit(name, "t", parents, "a", "a@x", 0, "s")


def test_what_a_commit_brings_in_and_takes_out():
    commits = [commit("a"), commit("b", "a"), commit("c", "a"), commit("d", "b", "c"), commit("e", "d")]
    reports = {"a": [OTHER], "b": [OTHER, SHELL], "c": [NO_SHELL], "d": [SHELL, NO_SHELL], "e": [NO_SHELL]}
    new = brought(commits, reports)
    assert {name: [f.rule_id for f in found] for name, found in new.items()} == {
        "a": ["B101"], "b": ["B602"], "c": ["B603"], "d": [], "e": []
    }  # fmt: skip
    assert fixes(commits, reports, [SHELL]) == ("e",)
