"""What resources of all clouds say in common words: who reaches what, and who may do what.

``network.rule`` and ``iam.policy`` are judged alike whether they come from Terraform or a live account.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from lemnis.contracts.resources import UNKNOWN, Resource, Steps
from lemnis.scan.readers import listed, mapping, texts

_POLICIES = (
    "policy",
    "assume_role_policy",
    "access_policy",
    "access_policies",
    "policy_document",
    "inline_policy",
)
_ALL = (0, 65535)
_WORLD = {"*", "internet", "any", "0.0.0.0/0", "::/0"}


def derived(one: Resource) -> Iterator[Resource]:
    """Yield what a resource says in common words."""
    kind = one.kind.removeprefix("terraform.")
    if kind.startswith("aws_"):
        yield from _aws_rules(one, kind)
    elif kind == "azurerm_network_security_rule":
        yield _azure(one, one.data, ())
    elif kind == "azurerm_network_security_group":
        for number, rule in enumerate(listed(one.data.get("security_rule"))):
            yield _azure(one, mapping(rule), ("security_rule", number))
    elif kind == "google_compute_firewall":
        for number, allow in enumerate(listed(one.data.get("allow"))):
            yield _google(one, mapping(allow), ("allow", number))
    yield from _policies(one)


def _aws_rules(one: Resource, kind: str) -> Iterator[Resource]:
    if kind in {"aws_security_group", "aws_default_security_group"}:
        for direction in ("ingress", "egress"):
            for number, rule in enumerate(listed(one.data.get(direction))):
                yield _aws(one, direction, mapping(rule), (direction, number))
    elif kind == "aws_security_group_rule":
        yield _aws(one, str(one.data.get("type", "")), one.data, ())
    elif kind in {"aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule"}:
        yield _aws(one, "ingress" if "ingress" in kind else "egress", one.data, ())


def _rule(
    one: Resource, way: Steps, read: tuple[str, ...], *, direction: str, protocol: str,
    ports: list[tuple[Any, Any]], sources: list[str],
) -> Resource:  # fmt: skip
    """Return a rule; what of it comes from one of the attributes ``read`` that is unknown, is too."""
    hidden = [steps for steps in one.unknown if _meets(steps, way, read)]
    data: dict[str, Any] = {
        "direction": direction, "protocol": protocol.lower(), "sources": sources,
        "world": any(source.lower() in _WORLD for source in sources),
        "ports": [{"from": low, "to": high} for low, high in ports],
    }  # fmt: skip
    keys: dict[str, str] = {}
    for steps in hidden:
        name = str(steps[len(way)]) if len(steps) > len(way) else ""
        keys[
            "ports" if "port" in name or name == "ports" else "protocol" if "protocol" in name else "sources"
        ] = name
        if not name:
            keys |= dict.fromkeys(("ports", "protocol", "sources"), "")
    if "sources" in keys and not data["world"]:
        keys["world"] = ""
    if data["world"]:
        keys.pop("sources", None)
    at = one.at(way)
    lines: dict[Steps, tuple[int, int]] = {(): (at.line, at.column)}
    for name in read:
        if (*way, name) in one.lines:
            spot = "ports" if "port" in name else "protocol" if "protocol" in name else "sources"
            lines.setdefault((spot,), one.lines[(*way, name)])
            if spot == "sources" and mapping(_dig(one.data, way)).get(name):
                lines[("world",)] = one.lines[(*way, name)]
    return Resource("network.rule", one.name, at, data, tuple((key,) for key in sorted(keys)), lines)


def _dig(value: Any, way: Steps) -> Any:
    for step in way:
        if isinstance(value, list) and isinstance(step, int):
            value = value[step]
        else:
            value = mapping(value).get(str(step))
    return value


def _meets(steps: Steps, way: Steps, read: tuple[str, ...]) -> bool:
    if len(steps) <= len(way):
        return way[: len(steps)] == steps
    return steps[: len(way)] == way and steps[len(way)] in read


_AWS = ("cidr_blocks", "ipv6_cidr_blocks", "cidr_ipv4", "cidr_ipv6")
_AZURE_SOURCES = ("source_address_prefix", "source_address_prefixes")
_AZURE_PORTS = ("destination_port_range", "destination_port_ranges")


def _aws(one: Resource, direction: str, rule: Mapping[str, Any], way: Steps) -> Resource:
    protocol = str(rule.get("protocol", rule.get("ip_protocol", "")))
    low, high = rule.get("from_port"), rule.get("to_port")
    ports: list[tuple[Any, Any]] = [(_port(low), _port(high))] if low is not None else [_ALL]
    if protocol in {"-1", "all"}:
        protocol, ports = "all", [_ALL]
    elif low == 0 and high == 0:
        ports = [_ALL]
    sources = [text for name in _AWS for text in texts(rule.get(name))]
    read = (*_AWS, "from_port", "to_port", "protocol", "ip_protocol")
    return _rule(one, way, read, direction=direction, protocol=protocol, ports=ports, sources=sources)


def _azure(one: Resource, rule: Mapping[str, Any], way: Steps) -> Resource:
    direction = {"inbound": "ingress", "outbound": "egress"}.get(str(rule.get("direction", "")).lower(), "")
    if str(rule.get("access", "")).lower() == "deny":
        direction = "deny"
    return _rule(
        one, way, (*_AZURE_SOURCES, *_AZURE_PORTS, "protocol"), direction=direction,
        protocol=str(rule.get("protocol", "")),
        ports=[_range(text) for name in _AZURE_PORTS for text in texts(rule.get(name))],
        sources=[text for name in _AZURE_SOURCES for text in texts(rule.get(name))],
    )  # fmt: skip


def _google(one: Resource, allow: Mapping[str, Any], way: Steps) -> Resource:
    direction = {"EGRESS": "egress"}.get(str(one.data.get("direction", "INGRESS")), "ingress")
    name = "source_ranges" if direction == "ingress" else "destination_ranges"
    found = _rule(
        one, way, ("ports", "protocol"), direction=direction, protocol=str(allow.get("protocol", "")),
        ports=[_range(text) for text in map(str, listed(allow.get("ports")))] or [_ALL],
        sources=texts(one.data.get(name)),
    )  # fmt: skip
    more: tuple[Steps, ...] = ()
    if any(steps[:1] == (name,) for steps in one.unknown):
        more = (("sources",), ("world",))
    lines = dict(found.lines)
    if (name,) in one.lines:
        lines[("world",)] = one.lines[(name,)]
    return Resource(found.kind, found.name, found.place, found.data, (*found.unknown, *more), lines)


def _port(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _range(text: str) -> tuple[Any, Any]:
    low, dash, high = text.partition("-")
    return _ALL if text == "*" else (_port(low), _port(high) if dash else _port(low))


def _policies(one: Resource) -> Iterator[Resource]:
    """Yield the policy documents of a resource, each with its statements in one form."""
    if one.kind == "terraform.data.aws_iam_policy_document":
        statements = [_written(mapping(item)) for item in listed(one.data.get("statement"))]
        yield _policy(one, "statement", statements, [s for s in one.unknown if s[:1] == ("statement",)])
        return
    for name in _POLICIES:
        said = one.data.get(name)
        if not isinstance(said, str) or said.startswith("${data.aws_iam_policy_document."):
            continue  # judged where it is written
        if (name,) in one.unknown or said == UNKNOWN:
            yield _policy(one, name, [], [(name,)], whole=True)
            continue
        try:
            document = orjson.loads(said)
        except orjson.JSONDecodeError:
            continue
        statements = mapping(document).get("Statement", [])
        several = statements if isinstance(statements, list) else [statements]
        said_of = [statement(mapping(item)) for item in several]
        yield _policy(one, name, said_of, list(_later(said_of)))


def _later(statements: list[dict[str, Any]]) -> Iterator[Steps]:
    """Yield the ways to what in a document's statements is known only later."""
    for number, statement in enumerate(statements):
        for name in _ATTRIBUTES:
            if any(one == UNKNOWN or _VARIABLE.fullmatch(one) for one in texts(statement[name])):
                yield ("statement", number, name)


_VARIABLE = re.compile(r"\$\{(?:var|local|module|each|count)\.[^{}]*\}")


def _policy(
    one: Resource, name: str, statements: list[Any], hidden: list[Steps], *, whole: bool = False
) -> Resource:
    at = one.at((name,))
    kind = one.kind.removeprefix("terraform.")
    ways = ((*steps[:2], *_ATTRIBUTES.get(str(steps[2:3][0]) if steps[2:3] else "", ())) for steps in hidden)
    unknown: tuple[Steps, ...] = (("statements",),) if whole else tuple(("statements", *w[1:]) for w in ways)
    lines: dict[Steps, tuple[int, int]] = {(): (at.line, at.column)}
    lines |= {
        ("statements", *steps[1:]): spot
        for steps, spot in one.lines.items()
        if name == "statement" and steps[:1] == (name,)
    }
    # In a document that is written out (`jsonencode`) each statement has its place, and nothing within it.
    lines |= {
        ("statements", steps[2]): spot
        for steps, spot in one.lines.items()
        if steps[:2] == (name, "Statement") and len(steps) == 3  # noqa: PLR2004
    }
    data: dict[str, Any] = {
        "of": kind,
        "attribute": name,
        "trust": name == "assume_role_policy",
        "statements": statements,
    }
    return Resource("iam.policy", f"{one.name}.{name}", at, data, unknown, lines)


_ATTRIBUTES = {
    "actions": ("actions",),
    "resources": ("resources",),
    "principals": ("principals",),
    "effect": ("effect",),
}


def statement(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement of a JSON policy (IAM JSON policy elements)."""
    principal = said.get("Principal")
    who = ["*"] if principal == "*" else [text for one in mapping(principal).values() for text in texts(one)]
    return {
        "effect": str(said.get("Effect", "Allow")), "actions": texts(said.get("Action", [])),
        "resources": texts(said.get("Resource", [])), "principals": who,
        "conditions": bool(said.get("Condition")),
        "all_but": any(key in said for key in ("NotAction", "NotPrincipal", "NotResource")),
    }  # fmt: skip


def _written(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement of ``aws_iam_policy_document``."""
    who = [
        text for one in listed(said.get("principals")) for text in texts(mapping(one).get("identifiers", []))
    ]
    return {
        "effect": str(said.get("effect", "Allow")), "actions": texts(said.get("actions", [])),
        "resources": texts(said.get("resources", [])), "principals": who,
        "conditions": bool(said.get("condition")),
        "all_but": any(key in said for key in ("not_actions", "not_principals", "not_resources")),
    }  # fmt: skip
