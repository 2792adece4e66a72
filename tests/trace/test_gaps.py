"""What a trace could not prove is a finding: once, with the incidents it hindered, until the hop holds."""

from dataclasses import replace

import orjson
import pytest
from world import AT, IMAGE, alert, follow, process, runtime

from lemnis import app
from lemnis.app import findings, findings_life, trace_gaps
from lemnis.app.trace import trace_alerts
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.provenance import RELATIONS, Edge, Hop, Strength
from lemnis.graph import gaps
from lemnis.interfaces.cli import run
from lemnis.store.findings import Findings

BUILT = "provenance.build_attested"


def listed(world):
    return [one for one in findings.listed(world.workspace) if one["tool"] == gaps.TOOL]


def events(world):
    query = "SELECT * FROM compliance_finding ORDER BY time, metadata.uid"
    return app.events(world.workspace).query(query, limit=100, timeout=10.0).to_pylist()


def delete(world, digest):
    [kept] = [p for p in (world.workspace.state / "vault").rglob("*") if p.is_file() and p.name in digest]
    kept.chmod(0o600)
    kept.unlink()


def later(world):
    world.workspace.clock.advance(60_000)


def test_a_whole_chain_has_no_gap(world):
    world.attack()
    world.attest()
    assert follow(world).gaps == ()
    assert listed(world) == []


def test_a_deleted_attestation_is_one_finding_until_the_image_is_attested_again(world):
    world.attack()
    delete(world, world.attest())
    [gap] = follow(world).gaps
    [one] = listed(world)
    assert (one["id"], one["rule_id"], one["severity"]) == (gap.fingerprint, BUILT, "high")
    assert (one["resource"], one["kind"]) == (f"image:{IMAGE}", "config")
    assert "attestation" in one["fix"]
    [event] = events(world)
    assert (event["compliance"]["control"], event["compliance"]["status"]) == (BUILT, "Fail")
    assert event["resources"][0]["uid"] == f"image:{IMAGE}"
    assert "in-1" in event["finding_info"]["desc"]

    later(world)
    assert follow(world).gaps == (gap,)
    assert len(events(world)) == 1

    later(world)
    world.attest()
    assert follow(world).gaps == ()
    assert listed(world) == []
    assert [(e["status"], e["compliance"]["status"]) for e in events(world)] == [
        ("New", "Fail"), ("Resolved", "Pass"),
    ]  # fmt: skip
    states = findings.shown(world.workspace, gap.fingerprint)
    assert [one["resolved"] for one in states] == [True, False]
    [row] = findings_life.store(world.workspace).rows(fingerprint=gap.fingerprint, open_only=False)
    assert row.fixed_at == AT + 180_000


def test_a_gap_that_comes_back_is_open_again(world):
    world.attack()
    [gap] = follow(world).gaps
    later(world)
    digest = world.attest()
    follow(world)
    later(world)
    delete(world, digest)
    assert [one.fingerprint for one in follow(world).gaps] == [gap.fingerprint]
    assert [one["id"] for one in listed(world)] == [gap.fingerprint]


def test_two_incidents_meet_one_gap_and_both_are_named(world):
    world.attack()
    [first] = follow(world).gaps
    later(world)
    [second] = trace_alerts(world.workspace, "in-2", [alert()]).gaps
    assert first.fingerprint == second.fingerprint
    assert len(listed(world)) == 1
    assert trace_gaps.hindered(world.workspace, first.fingerprint) == ["in-1", "in-2"]
    assert "Hindered: in-1, in-2" in events(world)[-1]["finding_info"]["desc"]


def test_a_line_that_nothing_leads_to_is_a_weak_one(world):
    world.see(
        runtime("ev-r0", AT - 60_000, 99),
        runtime("ev-r1", AT - 59_990, 1),
        process("ev-py", AT - 59_980, 500, 499, "/usr/bin/python3", "python3 -m shop"),
        process("ev-id", AT, 601, 500, "/usr/bin/id", "id"),
    )
    world.attest()
    found = follow(world)
    assert found.holds
    [gap] = found.gaps
    assert (gap.rule_id, gap.severity) == ("provenance.line_known", Severity.LOW)
    assert gap.resource == f"commit:{world.commits['other']}"
    assert [one["id"] for one in listed(world)] == [gap.fingerprint]


def test_two_builds_of_one_image_of_two_commits_contradict_each_other(world):
    world.attack()
    world.attest()
    world.attest(commit="hole")
    found = {one.rule_id: one for one in follow(world).gaps}
    assert {BUILT, "provenance.source_attested"} <= set(found)
    assert found[BUILT].title.endswith("is contradicted")
    assert world.commits["other"] in found[BUILT].message or world.commits["hole"] in found[BUILT].message


def test_two_traces_at_once_write_it_once(world, monkeypatch):
    world.attack()
    written = Findings.write

    def late(self, *given, **told):
        monkeypatch.setattr(Findings, "write", written)
        written(self, *given, **told)  # another process, between the look and the write
        written(self, *given, **told)

    monkeypatch.setattr(Findings, "write", late)
    [gap] = follow(world).gaps
    assert [one["id"] for one in listed(world)] == [gap.fingerprint]
    assert len(list(findings_life.store(world.workspace).rows(fingerprint=gap.fingerprint))) == 1


def test_the_command_lists_it(world, capsys):
    world.attack()
    [gap] = follow(world).gaps
    where = ["--workspace", str(world.workspace.root)]
    capsys.readouterr()
    assert run(["findings", "list", "--json", *where]) == 0
    assert gap.fingerprint in {orjson.loads(line)["id"] for line in capsys.readouterr().out.splitlines()}
    assert run(["graph", "show", f"finding:{gap.fingerprint}", *where]) == 0
    assert "in-1" in capsys.readouterr().out


def test_a_trace_that_did_not_ask_resolves_nothing(world):
    source = Entity.parse("source_line:shop:shop/labels.py:4")
    owner = edge(source, "owned_by", Strength.BROKEN, target="owner:?")
    wrote = edge(source, "introduced_by", Strength.RECORDED, target="commit:aa")
    [gap] = trace_gaps.keep(world.workspace, "in-1", [owner])
    later(world)
    assert trace_gaps.keep(world.workspace, "in-1", [wrote]) == ()
    assert [one["id"] for one in listed(world)] == [gap.fingerprint]
    later(world)
    trace_gaps.keep(
        world.workspace, "in-1", [wrote, edge(source, "owned_by", Strength.LABEL, "owner:@shop/a")]
    )
    assert listed(world) == []


def edge(source, relation, strength, target="commit:aa", **evidence):
    made = Edge(source, Entity.parse(target), relation, "some_method", strength, evidence)
    return Hop(made, "it did not hold" if strength is Strength.BROKEN else "")


COMMIT = Entity(EntityKind.COMMIT, "aa")


def test_a_name_match_is_a_weak_one():
    weak = edge(COMMIT, "has_line", Strength.NAME_MATCH, "source_line:shop:a.py:1", weaker=["several"])
    [one] = gaps.gaps([weak])
    assert (one.rule_id, one.severity) == ("provenance.line_known", Severity.LOW)
    assert "name" in one.title
    assert "several" in one.message


def test_a_name_match_beside_a_hop_that_holds_is_none():
    weak = edge(COMMIT, "has_line", Strength.NAME_MATCH, "source_line:shop:a.py:1")
    held = edge(COMMIT, "has_line", Strength.RECORDED, "source_line:shop:b.py:2")
    assert gaps.gaps([weak, held]) == []


def test_what_is_contradicted_is_one_though_another_hop_holds():
    build = Entity(EntityKind.BUILD, "run-7")
    other = {"build": "run-8", "commit": "bb"}
    said = edge(build, "built_from", Strength.NAME_MATCH, contradicted_by=[other])
    [one] = gaps.gaps([said, edge(build, "built_from", Strength.RECORDED)])
    assert (one.rule_id, one.severity) == ("provenance.source_attested", Severity.HIGH)
    assert "commit bb" in one.message


def test_a_label_against_its_provenance_is_told_elsewhere():
    hop = edge(COMMIT, "built_from", Strength.NAME_MATCH, contradicts="the label says otherwise")
    labelled = replace(hop, edge=replace(hop.edge, method="oci_label"))
    assert gaps.gaps([labelled]) == []


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"evidence": {"reason": "other words"}}, True),
        ({"target": Entity(EntityKind.COMMIT, "bb")}, True),
        ({"method": "other"}, False),
        ({"relation": "introduced_by"}, False),
        ({"source": Entity(EntityKind.COMMIT, "cc")}, False),
        ({"strength": Strength.NAME_MATCH}, False),
    ],
)
def test_the_id_is_of_source_relation_method_and_what_is_wrong(change, same):
    one = edge(COMMIT, "built_from", Strength.BROKEN)
    other = replace(one, edge=replace(one.edge, **change))
    ids = {found.fingerprint for hop in (one, other) for found in gaps.gaps([hop])}
    assert (len(ids) == 1) is same


def test_every_control_has_one_relation():
    known = [gaps.need(relation).control for relation in RELATIONS]
    assert len(known) == len(set(known))
