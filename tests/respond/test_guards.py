"""What must never be touched, how much at most, when an action is paused, and where secrets may not be."""

import time

import pytest
from vendor import SWITCH, TOKEN, outcomes, site

from lemnis.app import playbook_lint, respond
from lemnis.app.respond_services import protected
from lemnis.content.library import Library
from lemnis.content.schemas.protected import Protected
from lemnis.contracts.alerts import Entity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import RefusedError
from lemnis.respond import guards
from lemnis.respond.answers import Answer
from lemnis.respond.client import CallError
from lemnis.respond.limits import Limit, Limited, Limits
from lemnis.respond.template import Rendered

EACH = '- {id: act, action: vendor.switch, for_each: host, with: {name: "{host}"}, on_failure: continue}'


@pytest.fixture
def place(tmp_path, monkeypatch):
    with site(tmp_path / "ws", monkeypatch) as made:
        yield made


@pytest.mark.parametrize(
    ("entity", "within"),
    [
        ("address:127.0.0.1", True), ("address:10.0.0.1", False), ("address:fe80::1", True),
        ("address:nonsense", True), ("host:DC-01", True), ("host:web-1", False), ("user:break-glass-2", True),
        ("workload:payments/api", True), ("workload:shop/web", False), ("address:0.0.0.0/0", True),
    ],
)  # fmt: skip
def test_protected_sets(entity, within):
    sets = protected(Library.open())
    found = guards.Guards(guards.Recent(None, ManualClock()), sets).protects(Entity.parse(entity))
    assert bool(found) == within


def test_a_protected_host_is_in_the_plan_and_refused(place):
    place.playbook(EACH)
    place.write("protected/own.yaml", "title: Ours\nreason: it is ours\nentities: {host: [crown-*]}\n")
    planned = place.plan(hosts=("crown-1",))
    assert planned.plan.actions[0].refused == "host:crown-1 is protected (own: it is ours)"
    with pytest.raises(RefusedError, match="protected"):
        place.approve(planned)


def test_what_becomes_protected_after_the_approval_is_not_touched(place):
    place.playbook("- {id: ask, ask: {text: go?}}\n" + EACH)
    planned = place.plan(hosts=("crown-1", "b"))
    place.approve(planned)
    waits = place.run(planned)
    place.write("protected/own.yaml", "title: Ours\nreason: it is ours\nentities: {host: [crown-*]}\n")
    respond.answer(place.workspace, waits.id, "ask", "yes", actor="ana", reason="go")
    place.run(planned)
    assert place.vendor.changes == ["on b"]


def test_a_part_of_the_fleet_at_most(place):
    text = SWITCH.replace("caps: {", "caps: {fleet_percent: 20, fleet: host, ")
    place.write("actions/vendor/switch.yaml", text)
    place.playbook(EACH)
    place.write(
        "assets/ours.yaml", "assets:\n" + "".join(f"  - {{id: h{n}, names: [h{n}]}}\n" for n in range(10))
    )
    refused = [one.refused for one in place.plan(hosts=[f"h{n}" for n in range(4)]).plan.actions]
    known = "20 % of 10 known assets of kind host" if "10 known" in refused[-1] else "20 % of 0 known"
    assert sum(bool(one) for one in refused) in {2, 3}
    assert known in refused[-1]


def test_an_action_that_fails_too_often_is_paused_until_a_person_lets_it_go_on(place):
    place.write("actions/vendor/switch.yaml", SWITCH + "pause: {failures: 2}\n")
    place.playbook(EACH)
    place.vendor.bad = {"a", "b"}
    done = place.go(hosts=("a", "b", "c"))
    assert [one["outcome"] for one in done.results] == ["failed", "failed", "refused"]
    assert "is paused: 2 failures within an hour" in done.results[2]["error"]
    place.vendor.bad = set()
    planned = place.plan()
    assert "paused" in planned.plan.actions[0].refused
    respond.resume(place.workspace, "vendor.switch", actor="ana", reason="the vendor is well")
    assert place.plan().refusals == []
    with pytest.raises(RefusedError, match="is not paused"):
        respond.resume(place.workspace, "vendor.switch", actor="ana", reason="again")


def test_undo_is_never_barred(place):
    place.playbook(EACH)
    done = place.go()
    place.write("protected/own.yaml", "title: Ours\nreason: it is ours\nentities: {host: [a]}\n")
    place.journal().append(guards.paused_entry("vendor.switch", "test", actor="ana", at=1))
    back = respond.plan_undo(place.workspace, done.id)
    place.approve(back)
    assert (place.run(back).outcome, place.vendor.things) == ("done", {})


def test_an_action_calls_only_where_its_egress_list_allows(place):
    place.write("actions/vendor/switch.yaml", SWITCH + "egress: [api.vendor.example]\n")
    place.playbook(EACH)
    planned = place.plan()
    assert "127.0.0.1 is not in the action's egress list" in planned.plan.actions[0].refused
    library = Library.open(place.workspace.content)
    (problem,) = [
        one
        for one in playbook_lint.lint(library, ["book"], workspace=place.workspace)
        if one.name == "vendor.switch"
    ]
    assert (problem.error.at.line, "egress" in problem.error.what) == (SWITCH.count("\n") + 1, True)


def test_a_secret_is_nowhere_but_in_the_request(place, capfd, caplog):
    place.playbook(EACH + "\n- {id: late, action: vendor.read, with: {name: one}, at: run}")
    place.vendor.bad = {"b"}
    done = place.go(hosts=("a", "b"))
    assert outcomes(done)["late"] == "done"
    written = b"".join(path.read_bytes() for path in place.root.rglob("*") if path.is_file())
    assert b"(secret)" in written  # the vendor told it, and it was taken out
    assert TOKEN.encode() not in written
    assert TOKEN not in caplog.text + "".join(capfd.readouterr())


WRONG = """\
- {id: a, action: vendor.gone, with: {name: x}}
- {id: b, action: vendor.switch}
- {id: c, action: vendor.switch, with: {name: x}, ttl_min: 5, at: run}
- {id: d, if: "nope == 1", then: [{id: e, playbook: book}]}
- {id: f, if: "a.outcome + 1", then: [{id: g, python: nobody_has_it}]}
- {id: h, action: vendor.read, with: {name: "AKIAIOSFODNN7EXAMPLE"}, at: run}
- {id: i, action: vendor.switch, with: {name: "{h.said}"}}
"""


def test_lint_says_what_is_wrong_with_file_and_line(place):
    place.playbook(WRONG, head='triggers: [{by: schedule, cron: "61 * * * *"}]\napproval: {role: nobody}\n')
    found = playbook_lint.lint(Library.open(place.workspace.content), ["book"], workspace=place.workspace)
    said = {one.error.at.line: one.error.what for one in found if one.name == "book"}
    lines = [place.root / "content/playbooks/book/playbook.yaml"]
    first = lines[0].read_text().splitlines().index("  - {id: a, action: vendor.gone, with: {name: x}}") + 1
    assert "no action vendor.gone" in said[first]
    assert "vendor.switch needs name" in said[first + 1]
    assert "has an effect" in said[first + 2]
    assert any("undeclared reference to 'nope'" in one.error.what for one in found)
    assert any("playbooks that call each other: book → book" in one.error.what for one in found)
    assert any("no package registers a function nobody_has_it" in one.error.what for one in found)
    assert "an AWS access key in clear text" in said[first + 5]
    assert "only known when the plan runs" in said[first + 6]
    assert any("is no schedule" in one.error.what for one in found)
    assert any("nobody is nobody" in one.error.what for one in found)


def test_a_new_workspace_has_nothing_to_mend_until_it_uses_a_playbook(place):
    def said(*names):
        found = playbook_lint.lint(Library.open(place.workspace.content), names, workspace=place.workspace)
        return {(one.name, one.error.what) for one in found}

    assert said() == set()
    assert said("exposed_bucket") == {
        ("exposed_bucket", "nobody is lead"),
        ("exposed_bucket", "nobody is responder"),
    }
    place.settings("playbooks: {start: [phishing_report]}\n")
    assert said() == {("phishing_report", "nobody is analyst")}


def test_a_connection_to_a_simulator_is_told_of_only_where_an_action_would_be_kept_from_it(place):
    place.settings(
        '  cloud: {url: "http://127.0.0.1:1", access_key_env: A, secret_key_env: B, region: us-east-1}\n'
        "roles: {lead: [ana], responder: [ben]}\n"
    )
    library = Library.open(place.workspace.content)
    assert playbook_lint.lint(library, workspace=place.workspace) == []
    found = playbook_lint.lint(library, ["leaked_key_in_repository"], workspace=place.workspace)
    assert "aws.disable_access_key" in {one.name for one in found if "egress" in one.error.what}


class Caller:
    url = "http://v"

    def __init__(self):
        self.timeouts = []

    def send(self, _request, *, timeout, **_more):
        self.timeouts.append(timeout)
        return Answer(200)


def test_a_connections_rate_and_a_steps_time():
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    limits = Limits({"v": Limit(rate_per_min=2)}, lambda: now[0], sleep)
    caller = Limited(Caller(), "v", limits, until=130)
    for _ in range(5):
        caller.send(Rendered("GET", "/"), timeout=20)
    assert (slept, caller.inner.timeouts) == ([60.0, 60.0], [20, 20, 20, 20, 10])
    now[0] = 200
    with pytest.raises(CallError, match="time is over") as error:
        caller.send(Rendered("GET", "/"), timeout=20)
    assert error.value.unsent


def test_a_step_that_takes_too_long_fails(place):
    place.playbook("- {id: act, action: vendor.switch, with: {name: a}, timeout_s: 0.5}")
    planned = place.plan()
    place.approve(planned)
    answer, place.vendor.answer = (
        place.vendor.answer,
        lambda asked: (time.sleep(asked.method == "POST"), answer(asked))[1],
    )
    began = time.monotonic()
    done = place.run(planned)
    assert time.monotonic() - began < 5
    assert done.results[0]["outcome"] in {"failed", "done"}
    assert (done.results[0]["outcome"] == "done") == bool(done.results[0]["reconciled"])


def test_protected_sets_are_checked(tmp_path):
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 network"):
        Protected.model_validate({"title": "x", "reason": "y", "entities": {"address": ["10.0.0/33"]}})
