"""What collectors read of a cluster, a state of Terraform or an account, as resources for checks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from lemnis.contracts.resources import Resource
from lemnis.scan.readers import Read, aws, kubernetes, listed, mapping, terraform_plan

_STATE_VERSION: Final = 4
_DEEP: Final = 8
_MAKERS: Final = frozenset(
    {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "CronJob", "Job",
     "Rollout"}
)  # fmt: skip
"""What makes its objects of a template: it is judged, and not each of them."""


def read(kind: str, documents: Iterable[tuple[str, Any]]) -> Read:
    """Read the files of one snapshot (name and value of each) of a kind in ``KINDS``; raises KeyError."""
    return KINDS[kind](documents)


def _kubernetes(documents: Iterable[tuple[str, Any]]) -> Read:
    known: dict[tuple[str, str, str], dict[str, Any]] = {}
    for _, document in documents:
        known |= {_key(one): one for one in _objects(document, 0)}
    found = [
        _within(one, resource)
        for one in known.values()
        if not _made(one, known)
        for resource in kubernetes.objects(one, "", {})
    ]
    return Read((*found, *kubernetes.namespaces(found)))


def _objects(document: Any, depth: int) -> Iterator[dict[str, Any]]:
    if isinstance(document, list) and depth < _DEEP:
        for one in document:
            yield from _objects(one, depth + 1)
    elif isinstance(document, dict) and isinstance(document.get("items"), list):
        yield from _objects(document["items"], depth + 1)
    elif isinstance(document, dict):
        yield document


def _key(one: Mapping[str, Any]) -> tuple[str, str, str]:
    meta = mapping(one.get("metadata"))
    return str(one.get("kind", "")), str(meta.get("namespace", "")), str(meta.get("name", ""))


def _made(one: Mapping[str, Any], known: Mapping[tuple[str, str, str], Any]) -> bool:
    """Say whether a controller that is shown too made an object of its template."""
    owners = map(mapping, listed(mapping(one.get("metadata")).get("ownerReferences")))
    space = _key(one)[1]
    return any(
        owner.get("kind") in _MAKERS and (str(owner["kind"]), space, str(owner.get("name", ""))) in known
        for owner in owners
    )


def _within(one: Mapping[str, Any], resource: Resource) -> Resource:
    """Return a resource named with its namespace: in a cluster there are several of a name."""
    space = _key(one)[1]
    return replace(resource, name=f"{space}/{resource.name}") if space else resource


def _terraform(documents: Iterable[tuple[str, Any]]) -> Read:
    reads = [
        terraform_plan.read_plan(_shown(document) if _is_state(document) else document, name)
        for name, document in documents
    ]
    found = (replace(one, place=replace(one.place, path="")) for each in reads for one in each.resources)
    return Read(tuple(found), tuple(error for each in reads for error in each.errors))


def _is_state(document: Any) -> bool:
    whole = mapping(document)
    return whole.get("version") == _STATE_VERSION and isinstance(whole.get("resources"), list)


def _shown(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state of version 4 as `terraform show -json` has it, so far as checks read it."""
    found = []
    for one in map(mapping, state["resources"]):
        names = (one.get("module"), one.get("type"), one.get("name"))
        address = ".".join(str(name) for name in names if name)
        for instance in map(mapping, listed(one.get("instances"))):
            index = instance.get("index_key")
            said = f'["{index}"]' if isinstance(index, str) else f"[{index}]" if index is not None else ""
            found.append(
                {
                    "address": f"{address}{said}", "mode": one.get("mode"), "type": one.get("type"),
                    "values": mapping(instance.get("attributes")),
                }
            )  # fmt: skip
    return {"format_version": "1.0", "values": {"root_module": {"resources": found}}}


def _cloud(documents: Iterable[tuple[str, Any]]) -> Read:
    reads = [aws.read(document, name) for name, document in documents]
    return Read(
        tuple(one for each in reads for one in each.resources),
        tuple(error for each in reads for error in each.errors),
        tuple(one for each in reads for one in each.left),
    )


KINDS: Final[Mapping[str, Callable[[Iterable[tuple[str, Any]]], Read]]] = MappingProxyType(
    {"kubernetes": _kubernetes, "terraform": _terraform, "cloud": _cloud}
)
"""What reads the files of each kind, as collectors name them."""
