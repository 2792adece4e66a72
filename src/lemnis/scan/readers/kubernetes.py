"""Kubernetes manifests as resources: each object, and each workload's pod and containers as they will run.

The same is made of objects of a live cluster (``objects``), so that a check judges both. Kubernetes API 1.37.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lemnis.content import yaml
from lemnis.contracts.findings import Place
from lemnis.contracts.resources import UNKNOWN, Resource, Steps
from lemnis.scan.readers import Lines, Read, hidden, listed, mapping, part, placed, plain
from lemnis.scan.readers.credentials import held
from lemnis.scan.readers.images import parts

_POD: Mapping[str, Steps] = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job"),
        ("spec", "template", "spec"),
    ),
}
"""Where a workload's pod is described."""
_CONTAINERS = (("containers", "container"), ("initContainers", "init"), ("ephemeralContainers", "ephemeral"))
_INHERITED = ("runAsNonRoot", "runAsUser", "seccompProfile")
_VARIABLE = re.compile(r"\$\{[A-Za-z_][^}]*\}|\{\{.*\}\}|^\$[A-Z][A-Z0-9_]+$")
_TEMPLATE = re.compile(r"\{\{")
_SERVICE_ACCOUNT = "default"


def read(text: str, path: str) -> Read:
    """Read a file of manifests; what is no Kubernetes object in it is nobody's business here."""
    if _TEMPLATE.search(text) and (_in_chart(path) or yaml.marked(text, path)[1] is not None):
        return Read((), (), ((Place(path, 1, 1), "a template that was not rendered"),))
    documents, error = yaml.marked(text, path)
    found = [one for doc in documents for one in _document(doc, path)]
    if error is not None and not (found or re.search(r"(?m)^apiVersion:", text)):
        return Read()
    return Read(tuple(found), (str(error),) if error else ())


def objects(document: Any, path: str, lines: Lines, under: Steps = ()) -> Iterator[Resource]:
    """Yield the resources of one object, or of a list of them, of a file or of a cluster."""
    if not isinstance(document, dict):
        return
    kind, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return
    if kind == "List" or (kind.endswith("List") and isinstance(document.get("items"), list)):
        for number, item in enumerate(listed(document.get("items"))):
            yield from objects(item, path, lines, (*under, "items", number))
        return
    data, unknown = hidden(plain(document), _VARIABLE.search)
    own = part(lines, under)
    name = f"{kind}/{mapping(data.get('metadata')).get('name', '')}"
    yield placed(Resource(f"kubernetes.{kind}", name, Place(path), data, tuple(unknown), own))
    if kind in _POD:
        yield from _pod(name, data, path, unknown, own)


def namespaces(resources: Iterable[Resource]) -> list[Resource]:
    """Return the namespaces that workloads run in, with what there is for each (network policies)."""
    pods: dict[str, list[Resource]] = defaultdict(list)
    policies: dict[str, int] = defaultdict(int)
    for one in resources:
        space = str(mapping(one.data.get("metadata")).get("namespace", ""))
        if one.kind == "kubernetes.pod":
            pods[str(one.data.get("namespace", ""))].append(one)
        elif one.kind in {"kubernetes.NetworkPolicy", "kubernetes.CiliumNetworkPolicy"}:
            policies[space] += 1
    return [
        Resource(
            "kubernetes.namespace", space or "(of the release)", found[0].place,
            {"namespace": space, "workloads": len(found), "network_policies": policies[space]},
        )
        for space, found in sorted(pods.items())
    ]  # fmt: skip


def _document(doc: yaml.Marked, path: str) -> Iterator[Resource]:
    yield from objects(doc.value, path, doc.lines)


def _pod(
    name: str, data: Mapping[str, Any], path: str, unknown: list[Steps], lines: Lines
) -> Iterator[Resource]:
    kind = str(data["kind"])
    way = _POD[kind]
    spec: Any = data
    for step in way:
        spec = mapping(spec).get(str(step))
    if not isinstance(spec, dict):
        return
    space = mapping(data.get("metadata")).get("namespace")
    pod: dict[str, Any] = {"workload": kind, "spec": spec, "namespace": space or UNKNOWN}
    pod["account"] = spec.get("serviceAccountName") or spec.get("serviceAccount") or _SERVICE_ACCOUNT
    below = [("spec", *one[len(way) :]) for one in unknown if one[: len(way)] == way]
    if pod["account"] == UNKNOWN:
        below.append(("account",))
    spots = part(lines, way, ("spec",)) | {(): lines.get((), (1, 1))}
    spots[("namespace",)] = lines.get(("metadata",), spots[()])
    yield placed(
        Resource(
            "kubernetes.pod",
            name,
            Place(path),
            pod,
            (*below, *((("namespace",),) if not space else ())),
            spots,
        )
    )
    for place, role in _CONTAINERS:
        for number, one in enumerate(listed(spec.get(place))):
            if isinstance(one, dict):
                at: Steps = ("spec", place, number)
                inner = [steps[len(at) :] for steps in below if steps[: len(at)] == at]
                above = [steps[2:] for steps in below if steps[:2] == ("spec", "securityContext")]
                own = {**one, "role": role, "workload": kind}
                made = _container(own, mapping(spec.get("securityContext")), inner, above)
                label = f"{name}/{one.get('name', role)}"
                lined = _derived(part(spots, at))
                yield placed(Resource("kubernetes.container", label, Place(path), *made, lined))


def _container(
    one: dict[str, Any], pod: Mapping[str, Any], unknown: list[Steps], above: list[Steps]
) -> tuple[dict[str, Any], tuple[Steps, ...]]:
    """Return a container with what it has of its pod (``effective`` will hold for it), and what is unknown.

    ``unknown`` are the ways to that in the container, ``above`` those in the security context of its pod.
    """
    own = mapping(one.get("securityContext"))
    effective = {key: own.get(key, pod.get(key)) for key in _INHERITED if key in own or key in pod}
    hiddens = [*unknown]
    for steps in unknown:
        if steps[:1] == ("securityContext",) and len(steps) > 1:
            hiddens.append(("effective", *steps[1:]))
        if steps[:1] == ("image",):
            hiddens.append(("image_parts",))
        if steps == ("env",):
            hiddens.append(("secrets",))
    hiddens += [("effective", *steps) for steps in above if steps and steps[0] not in own]
    caps = mapping(own.get("capabilities"))
    data: dict[str, Any] = {
        **one, "effective": effective,
        "added": _capabilities(caps.get("add")), "dropped": _capabilities(caps.get("drop")),
        "secrets": list(_secrets(listed(one.get("env")))),
    }  # fmt: skip
    if any(steps[:2] == ("securityContext", "capabilities") for steps in unknown):
        hiddens += [("added",), ("dropped",)]
    if isinstance(one.get("image"), str) and one["image"] != UNKNOWN:
        data["image_parts"] = parts(one["image"])
    return data, tuple(hiddens)


def _derived(lines: Lines) -> dict[Steps, tuple[int, int]]:
    """Return the lines of a container, also for what is made of its parts."""
    found = dict(lines)
    for derived, source in _DERIVED.items():
        found |= part(lines, source, derived)
    return found


_DERIVED: Mapping[Steps, Steps] = {
    ("effective",): ("securityContext",),
    ("added",): ("securityContext", "capabilities", "add"),
    ("dropped",): ("securityContext", "capabilities", "drop"),
    ("image_parts",): ("image",),
    ("secrets",): ("env",),
}


def _capabilities(value: Any) -> list[str]:
    return [str(one).upper().removeprefix("CAP_") for one in listed(value)]


def _secrets(env: list[Any]) -> Iterator[dict[str, str]]:
    """Yield the variables that hold a credential written out."""
    for one in env:
        name, value = mapping(one).get("name"), mapping(one).get("value")
        if isinstance(name, str) and isinstance(value, str | int) and (what := held(name, str(value))):
            yield {"name": name, "what": what}


def _in_chart(path: str) -> bool:
    return "/templates/" in f"/{path}"
