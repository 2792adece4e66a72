"""What is planned, refused, approved, and what an approval is worth when the world has changed."""

from unittest.mock import ANY

import pytest
from simulated import INCIDENT, OTHER, PLAYBOOK, SESSION, TOKEN

from lemnis import app
from lemnis.app import respond
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import NotFoundError, RefusedError, UsageError
from lemnis.respond import records
from lemnis.respond.client import Client
from lemnis.testing.server import Reply


def plan(world, incident=INCIDENT, **more):
    return respond.plan(world.workspace, PLAYBOOK, incident, **more)


def approve(world, planned):
    return respond.approve(world.workspace, planned.plan.digest, actor="ana", reason="test")


def test_planning_twice_is_one_plan(world):
    world.incident()
    first, second = plan(world), plan(world)
    assert first.plan.digest == second.plan.digest
    assert len(list(world.journal().entries(kind="playbook.planned"))) == 1
    assert records.find_plan(world.journal(), first.plan.digest)[0] == first


def test_a_protected_target_is_refused_and_cannot_be_approved(world):
    world.incident(entities=("workload:kube-system/coredns",))
    planned = plan(world)
    assert any("read_workload" in one.action and "404" in one.refused for one in planned.plan.actions)
    with pytest.raises(RefusedError, match="refused action"):
        approve(world, planned)


def test_too_many_targets_are_refused(world):
    roles = [f"principal:arn:aws:sts::123456789012:assumed-role/role-{n}/s" for n in range(3)]
    world.cloud._roles |= {f"role-{n}" for n in range(3)}
    world.cloud._policies |= {f"role-{n}": {} for n in range(3)}
    world.incident(entities=tuple(roles))
    refused = [one.refused for one in plan(world).plan.actions if one.refused]
    assert refused == ["role/role-2 would be target 3, and a run's cap is 2"]


def test_two_sessions_of_a_role_are_one_target(world):
    world.incident(entities=(f"principal:{SESSION}", f"principal:{SESSION}x"))
    actions = [one.action for one in plan(world).plan.actions]
    assert actions.count("aws.deny_role_sessions") == 1


def test_a_missing_credential_shows_in_the_plan(world, monkeypatch):
    monkeypatch.delenv("SIM_TOKEN")
    world.incident()
    assert any("SIM_TOKEN" in one.refused for one in plan(world).plan.actions)


def test_inputs_by_hand_are_checked(world):
    world.incident(entities=("address:198.51.100.1",))
    planned = plan(world, given={"workload": ["shop/shop-web"]})
    assert [one.target for one in planned.plan.actions][-1] == "shop/shop-web"
    for given, said in (({"workload": ["../../x"]}, "does not match"), ({"nope": ["x"]}, "no input nope")):
        with pytest.raises(UsageError, match=said):
            plan(world, given=given)
    approve(world, planned)
    assert respond.run(world.workspace, planned.plan.digest).outcome == "done"


def test_an_approval_expires(world):
    world.incident()
    clock = ManualClock(1_800_000_000_000)
    moved = app.Workspace(world.root, clock)
    planned = respond.plan(moved, PLAYBOOK, INCIDENT)
    respond.approve(moved, planned.plan.digest, actor="ana", reason="test")
    clock.advance(3_600_001)
    with pytest.raises(RefusedError, match="expired"):
        respond.run(moved, planned.plan.digest)
    respond.approve(moved, planned.plan.digest, actor="ana", reason="again")
    assert respond.run(moved, planned.plan.digest).outcome == "done"


def test_a_changed_world_needs_a_new_approval(world):
    world.incident()
    planned = plan(world)
    approve(world, planned)
    world.cluster.add({**OTHER, "metadata": {"name": "another", "namespace": "shop"}})
    with pytest.raises(RefusedError, match="not as it was"):
        respond.run(world.workspace, planned.plan.digest)
    assert world.cluster.changes == world.cloud.changes == []


def test_changed_content_needs_a_new_approval(world):
    world.incident()
    planned = plan(world)
    approve(world, planned)
    folder = world.root / "content/actions/aws"
    folder.mkdir(parents=True)
    text = (respond.Library.open().get("actions", "aws.deny_role_sessions").manifest).read_text()
    (folder / "deny_role_sessions.yaml").write_text(
        text.replace('Resource: ["*"]', 'Resource: ["arn:aws:s3:::*"]')
    )
    with pytest.raises(RefusedError, match="content is not what it was"):
        respond.run(world.workspace, planned.plan.digest)


def test_a_changed_address_needs_a_new_approval(world):
    world.incident()
    planned = plan(world)
    approve(world, planned)
    world.connect(world.cluster.url.replace("127.0.0.1", "localhost"))
    with pytest.raises(RefusedError, match="no longer planned"):
        respond.run(world.workspace, planned.plan.digest)


def test_a_new_run_needs_a_new_approval(world):
    world.incident()
    planned = plan(world)
    approve(world, planned)
    first = respond.run(world.workspace, planned.plan.digest)
    back = respond.plan_undo(world.workspace, first.id)
    with pytest.raises(RefusedError, match="not approved"):
        respond.run(world.workspace, back.plan.digest)
    approve(world, back)
    assert respond.run(world.workspace, back.plan.digest).outcome == "done"
    with pytest.raises(RefusedError, match=f"{first.id} of this plan was taken back"):
        respond.run(world.workspace, planned.plan.digest)
    approve(world, planned)
    second = respond.run(world.workspace, planned.plan.digest)
    assert (second.id != first.id, second.outcome, len(world.cluster.changes)) == (True, "done", 3)
    assert [one.id for one in respond.runs(world.workspace)] == [first.id, ANY, second.id]


def test_what_someone_else_made_since_is_not_undone(world):
    world.incident()
    planned = plan(world)
    approve(world, planned)
    done = respond.run(world.workspace, planned.plan.digest)
    (policy,) = [
        one for one in world.cluster.objects("networkpolicies", "shop") if "lemnis" in one["metadata"]["name"]
    ]
    policy["metadata"]["annotations"]["lemnis.dev/effect"] = "someone else's"
    world.cluster.add(policy)
    back = respond.plan_undo(world.workspace, done.id)
    assert [(one.target, bool(one.refused)) for one in back.plan.actions] == [
        ("role/shop-node", False),
        ("shop/shop-web", True),
    ]
    approve(world, back)
    undone = respond.run(world.workspace, back.plan.digest)
    assert undone.outcome == "done with failures"
    assert {one["target"]: one["outcome"] for one in undone.results} == {
        "role/shop-node": "done",
        "shop/shop-web": "refused",
    }
    rest = respond.plan_undo(world.workspace, done.id)
    with pytest.raises(RefusedError, match="not what that run made"):
        approve(world, rest)


def test_a_failure_stops_the_run_and_is_told(world):
    world.incident()
    planned = plan(world)
    approve(world, planned)
    again = world.cluster.answer

    def answer(asked):
        return Reply(403, b"no") if asked.method == "POST" else again(asked)

    world.cluster.answer = answer
    done = respond.run(world.workspace, planned.plan.digest)
    outcomes = {one["step"]: one["outcome"] for one in done.results}
    assert (done.outcome, outcomes["quarantine"], outcomes["deny_sessions"]) == ("stopped", "failed", "done")


def test_evidence_is_in_the_vault(world):
    world.incident()
    planned = plan(world)
    approve(world, planned)
    respond.run(world.workspace, planned.plan.digest)
    entries = list(world.journal().entries(kind="evidence"))
    kept = [app.vault(world.workspace).get(entry.payload["digest"]) for entry in entries]
    assert b'"rule_id":"rule-1"' in kept[0]
    assert [entry.subject for entry in entries] == [INCIDENT] * 2


def test_unknown_things_are_named(world):
    world.incident()
    for call in (
        lambda: plan(world, "in-none"),
        lambda: respond.plan(world.workspace, "nope", INCIDENT),
        lambda: respond.approve(world.workspace, "12345678", actor="ana", reason="test"),
        lambda: respond.plan_undo(world.workspace, "run-none"),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_what_was_begun_and_then_refused_can_be_taken_back(world):
    world.incident()
    planned = plan(world)
    approve(world, planned)
    send = Client.send

    def dies(self, request, **more):
        answer = send(self, request, **more)
        if request.method == "POST" and "networkpolicies" in request.path:
            raise KeyboardInterrupt
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "send", dies)
        with pytest.raises(KeyboardInterrupt):
            respond.run(world.workspace, planned.plan.digest)
    assert len(world.cluster.changes) == 1
    (run,) = respond.runs(world.workspace)
    with pytest.raises(RefusedError, match="has not ended"):
        respond.plan_undo(world.workspace, run.id)
    world.connect(world.cluster.url.replace("127.0.0.1", "localhost"))
    done = respond.run(world.workspace, planned.plan.digest)
    assert {one["step"]: one["outcome"] for one in done.results}["quarantine"] == "refused"
    world.connect(world.cluster.url)
    back = respond.plan_undo(world.workspace, done.id)
    assert "shop/shop-web" in [one.target for one in back.plan.actions]


@pytest.mark.parametrize("tail", ["\nX-Other: y", "\x7fx", "ü", "\u2028x"])
def test_a_credential_that_no_header_can_carry_never_shows(world, monkeypatch, tail):
    monkeypatch.setenv("SIM_TOKEN", TOKEN + tail)
    world.incident()
    assert any("SIM_TOKEN" in one.refused for one in plan(world).plan.actions)
    assert TOKEN not in "".join(str(one.payload) + one.reason for one in world.journal().entries())


def test_the_line_end_after_a_credential_is_none_of_it(world, monkeypatch):
    monkeypatch.setenv("SIM_TOKEN", TOKEN + "\n")
    world.incident()
    assert [one.refused for one in plan(world).plan.actions if one.refused] == []


def test_a_plan_that_was_refused_once_can_be_planned_anew(world, monkeypatch):
    world.incident()
    monkeypatch.setenv("SIM_SECRET", "wrong-secret-key")
    first = plan(world)
    assert first.refusals
    monkeypatch.undo()
    second = plan(world)
    assert (second.refusals, second.plan.digest != first.plan.digest) == ([], True)
    approve(world, second)
    assert respond.run(world.workspace, second.plan.digest).outcome == "done"


def test_what_was_found_is_part_of_what_is_approved(world):
    world.incident()
    first = plan(world)
    approve(world, first)
    world.cluster.add({**OTHER, "metadata": {"name": "another", "namespace": "shop"}})
    with pytest.raises(RefusedError, match="not as it was"):
        respond.run(world.workspace, first.plan.digest)
    second = plan(world)
    assert second.plan.digest != first.plan.digest
    with pytest.raises(RefusedError, match="not approved"):
        respond.run(world.workspace, second.plan.digest)
    approve(world, second)
    assert respond.run(world.workspace, second.plan.digest).outcome == "done"
