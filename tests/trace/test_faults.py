"""Provenance that is gone, forged or ambiguous: the chain says so, and never ends somewhere else with confidence.

Histories that are not what they were (rewritten, renamed, squashed) and several builds are in ``test_code``.
"""

import json

import yaml
from world import IMAGE, follow

from lemnis import app
from lemnis.app import attest_labels
from lemnis.contracts.alerts import Entity
from lemnis.contracts.provenance import Strength
from lemnis.graph import Graph
from lemnis.graph.contradictions import contradictions


def label(world, tmp_path, **labels):
    """Read what `docker image inspect` says of the image."""
    told = [{"RepoDigests": [f"registry.example/shop/web@{IMAGE}"], "Config": {"Labels": {
        f"org.opencontainers.image.{name}": value for name, value in labels.items()
    }}}]  # fmt: skip
    file = tmp_path / "inspect.json"
    file.write_text(json.dumps(told))
    return attest_labels.look(world.workspace, file)


def test_an_attestation_that_was_deleted_breaks_the_chain_and_the_earlier_answer(world):
    world.attack()
    digest = world.attest()
    assert follow(world).holds
    [kept] = [p for p in (world.workspace.state / "vault").rglob("*") if p.is_file() and p.name in digest]
    kept.chmod(0o600)
    kept.unlink()
    found = follow(world)
    assert not found.holds
    assert (found.hops[-1].edge.relation, found.hops[-1].edge.strength) == ("built_by", Strength.BROKEN)
    assert found.chains[0].source is None
    graph = Graph(app.engine(world.workspace))
    assert graph.trace(Entity.parse("process:node-1/601"))[-1].broken


def test_a_forged_label_is_a_hop_of_its_own_and_leads_nowhere_else(world, tmp_path):
    world.attack()
    world.attest()
    hole, other = world.commits["hole"], world.commits["other"]
    [looked] = label(world, tmp_path, revision=hole, source="https://git.example/elsewhere.git")
    assert len(looked.alerts) == 2
    found = follow(world)
    assert found.holds
    forged = {str(h.edge.target): h.edge for h in found.hops if h.edge.method == "oci_label"}
    assert set(forged) == {f"commit:{hole}", "repository:https://git.example/elsewhere.git"}
    assert {edge.strength for edge in forged.values()} == {Strength.NAME_MATCH}
    assert other in forged[f"commit:{hole}"].evidence["contradicts"]
    [chain] = found.chains
    assert (chain.source.deployed, chain.strength) == (other, Strength.RECORDED)
    image = Entity.parse(f"image:{IMAGE}")
    told = contradictions(Graph(app.engine(world.workspace)), [image], None)
    assert f"commit:{other}" in {str(one.believed) for one in told}
    assert f"commit:{hole}" not in {str(one.believed) for one in told}


def test_labels_without_an_attestation_do_not_stand_in_for_it(world, tmp_path):
    world.attack()
    label(world, tmp_path, revision=world.commits["other"])
    found = follow(world)
    assert found.hops[-1].edge.relation == "built_by"
    assert found.hops[-1].broken


def test_a_repository_that_is_not_there_hides_no_chain(world, tmp_path):
    world.attack()
    world.attest()
    settings = world.workspace.root / app.SETTINGS
    known = yaml.safe_load(settings.read_text())
    known["repositories"].append({"name": "gone", "path": str(tmp_path / "gone")})
    settings.write_text(yaml.safe_dump(known))
    assert follow(world).holds
