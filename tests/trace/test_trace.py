import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from world import AT, CONTAINER, IMAGE, alert, follow, process, request, runtime

from lemnis import app
from lemnis.contracts.alerts import Entity
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.provenance import Strength
from lemnis.graph import Graph


def test_from_the_process_to_the_owner(world):
    world.attack()
    digest = world.attest()
    found = follow(world)
    assert [
        (str(h.edge.source), h.edge.relation, str(h.edge.target), h.edge.strength) for h in found.hops
    ] == [
        ("process:node-1/601", "runs_in", f"container:{CONTAINER}", Strength.OBSERVED),
        (f"container:{CONTAINER}", "instance_of", f"image:{IMAGE}", Strength.RECORDED),
        (f"image:{IMAGE}", "built_by", "build:run-7", Strength.VERIFIED),
        ("build:run-7", "built_from", f"commit:{world.commits['other']}", Strength.VERIFIED),
        (
            f"commit:{world.commits['other']}",
            "has_line",
            "source_line:shop:shop/labels.py:4",
            Strength.RECORDED,
        ),
        (
            "source_line:shop:shop/labels.py:4",
            "introduced_by",
            f"commit:{world.commits['hole']}",
            Strength.RECORDED,
        ),
        ("source_line:shop:shop/labels.py:4", "owned_by", "owner:@shop/shipping", Strength.LABEL),
    ]
    assert found.holds
    [runs_in, instance, built, _, line, wrote, owned] = [hop.edge.evidence for hop in found.hops]
    assert runs_in["events"] == ["ev-id", "ev-sh", "ev-r0", "ev-r1"]
    assert runs_in["alert"] == "al-1"
    assert (instance["workload"], built["attestation"]) == ("shop/shop-web", digest)
    assert [(r["event"], r["text"]) for r in line["requests"]] == [("ev-w2", "x;id")]
    assert (line["route"], line["calls"]) == ("/labels/preview", ["preview"])
    assert line["text_in_command"] == "| fold -w 28"
    assert (wrote["deployed"], wrote["commits_before_deployed"]) == (world.commits["other"], 1)
    assert wrote["author"] == "Hole Dev <hole@example.org>"
    assert owned["file"] == "CODEOWNERS:2"
    graph = Graph(app.engine(world.workspace))
    assert graph.trace(Entity.parse("process:node-1/601")) == found.hops


@pytest.mark.parametrize(
    ("how", "hops", "relation", "word"),
    [
        ({"flip": True}, 3, "built_by", "signature"),
        ({"key": Ed25519PrivateKey.from_private_bytes(b"x" * 32)}, 3, "built_by", "no trusted key"),
        ({"image": "sha256:" + "cd" * 32}, 3, "built_by", "subject: not about"),
        ({"repository": "https://git.example/elsewhere.git"}, 5, "has_line", "no repository"),
        ({"commit": "d" * 40}, 5, "has_line", "no commit"),
        (None, 3, "built_by", "no attestation"),
    ],
)
def test_a_hop_that_does_not_hold_ends_the_chain_and_says_why(world, how, hops, relation, word):
    world.attack()
    if how is not None:
        world.attest(**how)
    found = follow(world)
    assert not found.holds
    assert (len(found.hops), found.hops[-1].edge.relation) == (hops, relation)
    assert word in found.hops[-1].broken
    assert found.hops[-1].edge.strength is Strength.BROKEN


def test_evidence_that_was_changed_in_the_vault_is_found(world):
    world.attack()
    digest = world.attest()
    assert follow(world).holds
    [kept] = [p for p in (world.workspace.state / "vault").rglob("*") if p.is_file() and p.name in digest]
    kept.chmod(0o600)
    data = bytearray(kept.read_bytes())
    data[100] ^= 1
    kept.write_bytes(data)
    found = follow(world)
    assert found.hops[-1].edge.relation == "built_by"
    assert found.hops[-1].broken
    graph = Graph(app.engine(world.workspace))
    assert graph.trace(Entity.parse("process:node-1/601"))[-1].broken == found.hops[-1].broken


def test_a_second_good_attestation_is_enough(world):
    world.attack()
    world.attest()
    world.attest(flip=True)
    assert follow(world).holds


def test_without_a_trusted_builder_nothing_is_believed(world):
    world.attack()
    world.attest()
    settings = world.workspace.root / app.SETTINGS
    known = {**yaml.safe_load(settings.read_text()), "builders": []}
    settings.write_text(yaml.safe_dump(known))
    assert "no trusted builder" in follow(world).hops[-1].broken


def test_a_process_of_the_host_ends_at_once(world):
    world.see(process("ev-id", AT, 601, 600, "/usr/bin/id", "id"), runtime("ev-r", AT - 9, 1, pid=42))
    [hop] = follow(world).hops
    assert (hop.edge.relation, str(hop.edge.target)) == ("runs_in", "container:?")
    assert "no container's first process" in hop.broken


def test_an_image_without_a_digest_is_no_image(world):
    world.see(
        runtime("ev-r1", AT - 59_990, 1, digest=None),
        process("ev-id", AT, 601, 500, "/usr/bin/id", "id"),
    )
    found = follow(world)
    assert "did not say which image" in found.hops[-1].broken


def test_alerts_without_a_process_cannot_be_traced(world):
    world.see(request("ev-id", AT, "/", ""))
    with pytest.raises(NotFoundError, match="about a process"):
        follow(world)


def test_one_chain_a_container(world):
    world.attack()
    world.attest()
    world.see(
        runtime("ev-s1", AT - 50_000, 1, pid=700, container="5ec0de" * 10, digest="sha256:" + "ee" * 32),
        process("ev-w", AT + 10, 701, 700, "/usr/bin/whoami", "whoami"),
        process("ev-u", AT + 20, 602, 500, "/usr/bin/uname", "uname"),
    )
    found = follow(world, alert(), alert("ev-w", AT + 10, "process:node-1/701"), alert("ev-u", AT + 20))
    assert [(chain.first.process.uid, chain.others, chain.holds) for chain in found.chains] == [
        ("ev-id", 1, True),
        ("ev-w", 0, False),
    ]
    assert not found.holds
