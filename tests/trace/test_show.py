from world import alert

from lemnis.app.trace import trace_alerts
from lemnis.interfaces.cli.commands import trace as command


def shown(world, monkeypatch, capsys, width=110):
    monkeypatch.setattr(command.console, "_width", width)
    command.show(trace_alerts(world.workspace, "in-1", [alert()]))
    return capsys.readouterr().out


def test_the_chain_is_told_from_top_to_bottom(world, monkeypatch, capsys):
    world.attack()
    world.attest()
    text = shown(world, monkeypatch, capsys)
    words = ["node-1/601", "runs in observed", "c0ffeec0ffee", "sha256:abababababab…", "built by verified",
             "has line recorded", "shop/labels.py:4", "introduced by", "@shop/shipping", "introduced  ", "✓ 7 hops"]  # fmt: skip
    places = [text.index(word) for word in words]
    assert places == sorted(places)
    assert "x;id stands in the command line (ev-w2)" in text


def test_a_broken_hop_is_told(world, monkeypatch, capsys):
    world.attack()
    world.attest(flip=True)
    text = shown(world, monkeypatch, capsys)
    assert "✗ signature" in text
    assert "✗ broken at built_by" in text


def test_a_hop_for_machines(world):
    world.attack()
    found = trace_alerts(world.workspace, "in-1", [alert()])
    documents = [command.document(hop) for hop in found.hops]
    assert list(documents[0]) == ["from", "to", "relation", "method", "strength", "evidence"]
    assert documents[-1]["strength"] == "broken"
    assert documents[-1]["broken"] == "no attestation of this image is in the journal"
