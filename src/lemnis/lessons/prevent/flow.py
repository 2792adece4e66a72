"""A connection that nothing needed: refused in what lets it through, security group or network policy."""

from __future__ import annotations

import ipaddress

from lemnis.lessons.prevent import setting
from lemnis.lessons.prevent.base import Drawn, Flow, NewCheck, Traced, fails, literal

NAME = "network flow"
_CONTROLS = ("NIST.800-53.SC-7",)
_EVERYWHERE = ("0.0.0.0/0", "::/0")


def recognise(traced: Traced, name: str) -> Drawn | str:
    """Draw a check over openings of a cloud, or over a cluster's network policies, from the flow itself."""
    flow = traced.flow
    if flow is None:
        return "nothing says which connection was let through in excess"
    try:
        peer = ipaddress.ip_network(flow.peer)
    except ValueError:
        return f"{flow.peer!r} is no network: the other side of the connection is not known"
    if why := _unclear(flow):
        return why
    if flow.where == "cluster":
        says = f"a network policy that lets pods reach {flow.peer}"
        return setting.new(NAME, traced, name, _cluster(peer), says=says)
    says = f"an opening ({flow.direction}) that everybody has to port {flow.port}"
    return setting.new(NAME, traced, name, _cloud(flow), says=says)


def _unclear(flow: Flow) -> str:
    """Return what is not known of a flow, or why no gate can see it."""
    if flow.direction not in ("ingress", "egress"):
        return f"{flow.direction!r} is neither ingress nor egress"
    if flow.where not in ("cloud", "cluster"):
        return f"{flow.where!r} is neither a cloud nor a cluster"
    if flow.where == "cluster" and flow.direction == "ingress":
        return "what reaches a pod is allowed by labels: no network says it"
    if flow.where == "cloud" and not 0 < flow.port < 2**16:
        return f"the port of the connection is not known ({flow.port})"
    return ""


def _cloud(one: Flow) -> NewCheck:
    """Refuse an opening to or from everywhere that has the port in it."""
    protocols = {"tcp": ("tcp", "6"), "udp": ("udp", "17")}.get(one.protocol, (one.protocol,))

    def rule(*, world: bool, low: int, high: int) -> dict[str, object]:
        return {
            "direction": one.direction, "protocol": one.protocol, "world": world,
            "sources": ["0.0.0.0/0" if world else "10.0.0.0/8"], "ports": [{"from": low, "to": high}],
        }  # fmt: skip

    other = one.port - 1 if one.port > 1 else one.port + 1
    return NewCheck(
        title=f"Port {one.port} is open ({one.direction}) to everywhere",
        kinds=("network.rule",),
        why="An incident went through this opening, which nothing needed.",
        fix="Allow the addresses that need it.",
        body=f"""{fails('["world"]', literal(f"port {one.port} and everywhere"))}
    some i, one in input.resources
    one.direction == {literal(one.direction)}
    one.world == true
    one.protocol in {literal([*protocols, "all", "*", "-1"])}
    some range in one.ports
    is_number(range.from) # what is not known compares as a text
    is_number(range.to)
    range.from <= {one.port}
    range.to >= {one.port}
}}""",
        fails=(rule(world=True, low=one.port, high=one.port), rule(world=True, low=0, high=65535)),  # type: ignore[arg-type]
        passes=(rule(world=False, low=one.port, high=one.port), rule(world=True, low=other, high=other)),  # type: ignore[arg-type]
        unknown=("world",),
        cwes=(284,),
        controls=_CONTROLS,
    )


def _cluster(peer: ipaddress.IPv4Network | ipaddress.IPv6Network) -> NewCheck:
    """Refuse an egress block that has the network in it and does not take it out."""
    everywhere = _EVERYWHERE[peer.version == 6]  # noqa: PLR2004 - IP versions are 4 and 6
    beside = "192.0.2.0/24" if peer.version == 4 else "2001:db8::/32"  # noqa: PLR2004 - the same

    def block(cidr: str, *excepted: str) -> dict[str, object]:
        said: dict[str, object] = {"cidr": cidr, "except": list(excepted)}
        return {"spec": {"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": said}]}]}}

    return NewCheck(
        title=f"Network policy lets pods reach {peer}",
        kinds=("kubernetes.NetworkPolicy",),
        why="An incident went this way, which nothing needed.",
        fix=f"Name the networks that are needed, or add {peer} to except.",
        body=f"""excepted(blocks) if {{
    some block in blocks
    net.cidr_contains(block, {literal(str(peer))})
}}

{fails('["spec", "egress", n, "to", m, "ipBlock"]', literal(f"{peer} is reached"))}
    some i, one in input.resources
    some n, rule in one.spec.egress
    some m, to in rule.to
    net.cidr_contains(to.ipBlock.cidr, {literal(str(peer))})
    not excepted(to.ipBlock["except"])
}}

{fails('["spec", "egress", n]', '"everything is reached"')}
    some i, one in input.resources
    some n, rule in one.spec.egress
    not rule.to[0] # none and an empty list allow every destination
}}""",
        fails=(block(everywhere), block(str(peer)), {"spec": {"policyTypes": ["Egress"], "egress": [{}]}}),  # type: ignore[arg-type]
        passes=(block(everywhere, str(peer)), block(beside)),  # type: ignore[arg-type]
        unknown=("spec", "egress", 0, "to", 0, "ipBlock"),
        cwes=(923,),
        controls=_CONTROLS,
    )
