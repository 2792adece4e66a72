"""Every kind of step: what is decided while planning, what the run decides among what was approved."""

import pytest
from vendor import outcomes, site

from lemnis.app import respond, respond_services
from lemnis.contracts.errors import InputError, RefusedError
from lemnis.respond import waiting


@pytest.fixture
def place(tmp_path, monkeypatch):
    with site(tmp_path / "ws", monkeypatch) as made:
        yield made


BRANCHES = """\
- {id: first, action: vendor.switch, with: {name: one}, on_failure: continue}
- id: went
  if: "first.outcome == 'done'"
  then: [{id: good, action: vendor.switch, with: {name: good}}]
  else: [{id: bad, action: vendor.switch, with: {name: bad}}]
"""


@pytest.mark.parametrize(("fails", "changes"), [(False, ["on one", "on good"]), (True, ["on bad"])])
def test_a_branch_follows_how_a_write_ended_and_both_were_approved(place, fails, changes):
    place.playbook(BRANCHES)
    place.vendor.bad = {"one"} if fails else set()
    planned = place.plan()
    assert [one.target for one in planned.plan.actions] == ["one", "good", "bad"]
    place.approve(planned)
    done = place.run(planned)
    assert place.vendor.changes == changes
    assert done.outcome == ("done with failures" if fails else "done")
    back = respond.plan_undo(place.workspace, done.id)
    assert [one.target for one in back.plan.actions] == [one.split()[1] for one in reversed(changes)]


def test_conditions_that_are_known_are_decided_while_planning(place):
    place.playbook("""\
    - {id: look, action: vendor.read, with: {name: one}}
    - {id: a, if: "look.said == 'idle' && severity >= 4", then: [{id: b, action: vendor.switch, with: {name: x}}]}
    - {id: c, if: "host.exists(h, h.value == 'a') && b.outcome == 'done'", then: [{id: d, action: vendor.switch, with: {name: y}}]}
    - {id: e, if: "look.said == 'busy'", then: [{id: f, action: vendor.switch, with: {name: z}}]}
    - {id: g, switch: look.said, cases: {idle: [{id: h, action: vendor.switch, with: {name: idle}}]}}
    - {id: i, if: "f.outcome == 'skipped'", then: [{id: j, action: vendor.switch, with: {name: last}}]}
    """)
    planned = place.plan()
    assert [one.target for one in planned.plan.actions] == ["one", "x", "y", "idle", "last"]
    place.approve(planned)
    assert place.run(planned).outcome == "done"
    assert place.vendor.changes == ["on x", "on y", "on idle", "on last"]


LOOP = """\
- id: again
  while: "!has(check.said) || check.said != 'gone'"
  max_turns: 3
  do:
    - {id: check, action: vendor.read, with: {name: one}, at: run}
    - {id: act, if: "check.said != 'gone'", then: [{id: push, action: vendor.switch, with: {name: "push"}}]}
"""


def test_a_loop_goes_on_while_its_condition_holds_and_each_turn_was_approved(place):
    place.playbook(LOOP)
    place.vendor.states["one"] = ["there", "there", "gone"]
    planned = place.plan()
    assert [one.turn for one in planned.plan.actions] == [1, 1, 2, 2, 3, 3]
    place.approve(planned)
    assert place.run(planned).outcome == "done"
    assert place.vendor.changes == ["on push"]


def test_a_loop_that_does_not_end_is_a_failure(place):
    place.playbook(LOOP)
    place.vendor.states["one"] = ["there"]
    done = place.go()
    entry = place.journal().get(f"playbook.finished:{done.id}")
    assert (done.outcome, "still so after 3 turns" in entry.payload["why"]) == ("stopped", True)


def test_many_values_are_a_list(place):
    place.playbook("""\
    - {id: each, action: vendor.switch, for_each: host, with: {name: "{host}"}, on_failure: continue}
    - id: some
      if: "each.exists(e, e.outcome == 'failed' && e.item == 'b')"
      then: [{id: tell, action: vendor.switch, with: {name: tell}}]
    """)
    place.vendor.bad = {"b"}
    place.go(hosts=("a", "b"))
    assert place.vendor.changes == ["on a", "on tell"]


def test_branches_at_the_same_time_have_their_own_order(place):
    place.playbook("""\
    - id: both
      parallel:
        - {id: left, if: "true", then: [{id: l1, action: vendor.switch, with: {name: l1}}, {id: l2, action: vendor.switch, with: {name: l2}}]}
        - {id: right, action: vendor.switch, for_each: host, with: {name: "{host}"}}
    - {id: after, if: "l2.outcome == 'done'", then: [{id: last, action: vendor.switch, with: {name: last}}]}
    """)
    place.go(hosts=("a", "b"))
    changes = place.vendor.changes
    assert sorted(changes[:-1]) == ["on a", "on b", "on l1", "on l2"]
    assert changes.index("on l1") < changes.index("on l2")
    assert changes[-1] == "on last"


def test_a_playbook_calls_another_with_its_own_names(place):
    place.playbook(
        """\
    - {id: look, action: vendor.read, for_each: host, with: {name: "{host}"}}
    - {id: do, action: vendor.switch, for_each: host, with: {name: "{host}"}}
    - {id: then, if: "do.all(d, d.outcome == 'done')", then: [{id: more, action: vendor.switch, with: {name: more}}]}
    """,
        name="inner",
    )
    place.playbook(
        '- {id: call, playbook: inner, with: {host: "{host}"}}\n- {id: end, action: vendor.switch, with: {name: end}}'
    )
    done = place.go(hosts=("a", "b"))
    assert place.vendor.changes == ["on a", "on b", "on more", "on end"]
    assert "call/do" in outcomes(done)
    place.playbook("- {id: call, playbook: book}", name="inner")
    with pytest.raises(InputError, match="book → inner → book"):
        place.plan()


def test_python_steps_compute_while_planning_or_while_running(place, monkeypatch):
    known = {
        "halve": lambda given: {"half": str(int(given["n"]) // 2)},
        "odd": lambda given: given["nothing"],
    }
    monkeypatch.setattr(respond_services, "functions", lambda: known)
    place.playbook("""\
    - {id: first, python: halve, with: {n: "8"}}
    - {id: act, action: vendor.switch, with: {name: "{first.half}"}}
    - {id: late, python: halve, with: {n: "{first.half}"}, at: run}
    - {id: go, if: "late.half == '2'", then: [{id: more, action: vendor.switch, with: {name: more}}]}
    """)
    assert outcomes(place.go())["late"] == "done"
    assert place.vendor.changes == ["on 4", "on more"]
    place.playbook(
        "- {id: bad, python: odd, with: {n: x}, at: run}\n- {id: act, action: vendor.switch, with: {name: x}}"
    )
    done = place.go(incident="in-00000000000000ab")
    assert (done.outcome, outcomes(done)) == ("stopped", {"bad": "failed"})


def test_a_question_waits_for_a_person_and_its_answer_decides(place):
    place.playbook("""\
    - {id: sure, ask: {text: "Really?", timeout_min: 60}}
    - {id: go, if: "sure.outcome == 'yes'", then: [{id: act, action: vendor.switch, with: {name: x}}]}
    """)
    planned = place.plan()
    place.approve(planned)
    waits = place.run(planned)
    assert (waits.outcome, waits.waits_until > place.clock.now()) == ("unfinished", True)
    assert [one.text for one in respond.questions(place.workspace)] == ["Really?"]
    respond.answer(place.workspace, waits.id, "sure", "yes", actor="ana", reason="seen")
    with pytest.raises(RefusedError, match="answered yes already"):
        waiting.answer(
            place.journal(), place.clock.now(), waiting.question(next(place.journal().entries(kind=waiting.ASKED))),
            "no", actor="ben", reason="late", roles=frozenset(),
        )  # fmt: skip
    assert place.run(planned).outcome == "done"
    assert place.vendor.changes == ["on x"]


def test_nobodys_answer_in_time_is_no(place):
    place.playbook("""\
    - {id: sure, ask: {text: "Really?", timeout_min: 60}}
    - {id: go, if: "sure.outcome == 'yes'", then: [{id: act, action: vendor.switch, with: {name: x}}], else: [{id: stop, end: failed}]}
    """)
    planned = place.plan()
    place.approve(planned)
    place.run(planned)
    place.clock.advance(3_600_001)
    assert (place.run(planned).outcome, place.vendor.changes) == ("failed", [])


def test_what_a_read_finds_while_running_cannot_change_what_is_written(place):
    place.playbook("""\
    - {id: late, action: vendor.read, with: {name: one}, at: run}
    - {id: act, action: vendor.switch, with: {name: "{late.said}"}}
    """)
    planned = place.plan()
    assert "there is no late.said" in planned.plan.actions[1].refused
    with pytest.raises(RefusedError, match="refused action"):
        place.approve(planned)


def test_a_changed_condition_voids_an_approval(place):
    place.playbook(BRANCHES)
    planned = place.plan()
    place.approve(planned)
    place.playbook(BRANCHES.replace("== 'done'", "!= 'done'"))
    with pytest.raises(RefusedError, match="content is not what it was"):
        place.run(planned)
    assert place.vendor.changes == []


def test_a_condition_without_a_value_stops_the_run(place):
    place.playbook("""\
    - {id: act, action: vendor.switch, with: {name: x}}
    - {id: odd, if: "act.nothing == 1", then: [{id: more, action: vendor.switch, with: {name: y}}]}
    """)
    done = place.go()
    assert (done.outcome, place.vendor.changes) == ("stopped", ["on x"])
    assert "no value" in place.journal().get(f"playbook.finished:{done.id}").payload["why"]


def test_the_same_action_in_a_branch_that_is_not_taken_is_done_after_it(place):
    place.playbook("""\
    - {id: first, action: vendor.switch, with: {name: one}, on_failure: continue}
    - {id: went, if: "first.outcome == 'failed'", then: [{id: a, action: vendor.switch, with: {name: x}}]}
    - {id: b, action: vendor.switch, with: {name: x}}
    """)
    place.go()
    assert place.vendor.changes == ["on one", "on x"]
