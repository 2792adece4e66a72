"""What `kubectl get -A -o json` (or yaml) shows of a cluster: workloads, images, identities, endpoints. Pure.

Formats: Kubernetes API conventions (v1 List; metadata.ownerReferences, creationTimestamp), core/v1 Pod
(status.containerStatuses), rbac.authorization.k8s.io/v1, networking.k8s.io/v1 Ingress.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import Strength
from lemnis.graph.builds import at as inner
from lemnis.graph.builds import objects, text
from lemnis.graph.collect import Collected, Gatherer, data_set, gitops, instant, texts, traced

METHOD: Final = "kubernetes"
CONTROLLERS: Final = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob",
     "Rollout"}
)  # fmt: skip
"""What makes pods of a template."""
_FINAL = frozenset({"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Rollout"})
"""What a workload is named after, also where an operator owns it."""
_DEEP, _NO_HOST = 8, "*"
_DIGEST = re.compile(r"(?:^|@)(sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128}))$")
_FIXED = frozenset({"Pod", "ReplicaSet", "Job"})
"""What is never changed into something else: what is so of it was so since it was created."""
_HASH = "pod-template-hash"
_AWS_ROLE, _GCP_ACCOUNT = "eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account"
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of the cluster, and where it stands in the file."""

    kind: str
    space: str
    name: str
    where: str
    data: Mapping[str, Any]

    @property
    def key(self) -> _Key:
        return self.kind, self.space, self.name

    @property
    def meta(self) -> dict[str, Any]:
        return inner(self.data, "metadata")

    @property
    def spec(self) -> dict[str, Any]:
        return inner(self.data, "spec")

    @property
    def since(self) -> int | None:
        return instant(self.meta.get("creationTimestamp"))

    @property
    def said(self) -> dict[str, Any]:
        """Its labels and annotations."""
        return {**inner(self.meta, "annotations"), **inner(self.meta, "labels")}


def is_one(document: Any) -> bool:
    """Say whether a document is an object of Kubernetes, or a list of such."""
    if isinstance(document, list):
        return any(map(is_one, document[:20]))
    return (
        isinstance(document, dict)
        and isinstance(document.get("apiVersion"), str)
        and isinstance(document.get("kind"), str)
        and (isinstance(document.get("items"), list) or isinstance(document.get("metadata"), dict))
    )


def collect(document: Any, *, scope: str = "", whole: bool = False) -> Collected:
    """Read objects: one, a List, or a list of either.

    ``scope`` names the cluster: it begins the names of cluster objects, roles, service accounts and
    endpoints; without it the cluster is known by the uid of its namespace ``kube-system``. Of a kind that it
    shows (and, where all are of one namespace, of that) it shows all; with ``whole`` of every kind.
    """
    said = Gatherer(METHOD, scope)
    known = {one.key: one for one in _objects(said, document, "", 0)}
    kinds = {kind for kind, _, _ in known}
    uid = known.get(("Namespace", "", "kube-system"))
    said.scope = scope or (text(uid.meta, "uid") if uid else "")
    _Cluster(said, known, f"{scope}/" if scope else "").tell()
    spaces = {one.space for one in known.values()} - {""}
    covers = (
        set(_OF)
        if whole and is_one(document)
        else {of for of, needs in _OF.items() if all(kinds & one for one in needs)}
    )
    secret = any(
        kind == "Secret" and (known[kind, space, name].data.get("data") or {}) for kind, space, name in known
    )
    within = spaces.pop() if len(spaces) == 1 and not whole else ""
    return said.done(covers=frozenset(covers), within=within, secret=secret)


_PODS = frozenset({"Pod"})
_RUNNING = frozenset({"Pod", *CONTROLLERS})
_OF: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "Pod": (_PODS,),
    **{kind: (frozenset({kind}),) for kind in (*CONTROLLERS, "ServiceAccount", "PersistentVolumeClaim")},
    "Service": (frozenset({"Service"}), _RUNNING),
    "Ingress": (frozenset({"Ingress"}), frozenset({"Service"}), _RUNNING),
    "RoleBinding": (frozenset({"RoleBinding"}),),
    "ClusterRoleBinding": (frozenset({"ClusterRoleBinding"}),),
    "Role": (frozenset({"Role"}),),
    "ClusterRole": (frozenset({"ClusterRole"}),),
    gitops.APPLICATION: (frozenset({gitops.APPLICATION}),),
    gitops.KUSTOMIZATION: (frozenset({gitops.KUSTOMIZATION}), frozenset({gitops.SOURCE})),
}
"""Of what statements come, and what a snapshot must show to say them all: a Service's come of pods too."""


def _objects(said: Gatherer, document: Any, where: str, depth: int) -> Iterator[_Object]:
    if depth > _DEEP:
        said.refuse(where, f"more than {_DEEP} lists within each other")
    elif isinstance(document, list):
        for place, one in said.objects(document, where):
            yield from _objects(said, one, place, depth + 1)
    elif isinstance(document, dict) and isinstance(document.get("items"), list):
        for place, one in said.objects(document["items"], f"{where}.items" if where else "items"):
            yield from _objects(said, one, place, depth + 1)
    elif not isinstance(document, dict):
        said.refuse(where or "the document", "no object")
    else:
        meta = inner(document, "metadata")
        kind, name = text(document, "kind"), text(meta, "name")
        if kind and name:
            yield _Object(kind, text(meta, "namespace"), name, where or "the document", document)
        else:
            said.refuse(where or "the document", f"{kind or 'an object'} without kind or name")


class _Cluster:
    """One snapshot of a cluster, while it is read."""

    def __init__(self, said: Gatherer, known: Mapping[_Key, _Object], prefix: str) -> None:
        self._said, self._known, self._prefix = said, known, prefix
        self._labels: dict[tuple[str, str, str], list[tuple[Entity, dict[str, str]]]] = defaultdict(list)
        self._labelled: set[tuple[Entity, tuple[tuple[str, str], ...]]] = set()
        self._services: dict[tuple[str, str], list[Entity]] = {}
        self._seen: set[Entity] = set()

    def tell(self) -> None:
        """Say what all objects say: pods first, for services are told by their labels."""
        how: list[tuple[str, Callable[[_Object], None]]] = [
            ("Pod", self._pod),
            *((kind, self._controller) for kind in sorted(CONTROLLERS)),
            ("Service", self._service), ("Ingress", self._ingress),
            (gitops.APPLICATION, self._applied), (gitops.KUSTOMIZATION, self._applied),
            ("PersistentVolumeClaim", self._stored), ("ServiceAccount", self._account),
            ("Role", self._role), ("ClusterRole", self._role),
            ("RoleBinding", self._binding), ("ClusterRoleBinding", self._binding),
        ]  # fmt: skip
        for kind, told in how:
            for one in self._of(kind):
                told(one)

    def _of(self, kind: str) -> Iterator[_Object]:
        return (one for one in self._known.values() if one.kind == kind)

    def _say(
        self, one: _Object, source: Entity, relation: str, target: Entity, *,
        strength: Strength = Strength.RECORDED, **facts: Any,
    ) -> None:  # fmt: skip
        since = facts.pop("since", one.since if one.kind in _FIXED else None)
        self._said.say(
            source, relation, target, one.where, strength=strength, of=one.kind, since=since,
            space=one.space, object=f"{one.kind}/{one.name}", **facts,
        )  # fmt: skip

    def _named(self, kind: EntityKind, *parts: str) -> Entity:
        return Entity(kind, self._prefix + "/".join(part for part in parts if part))

    def _object(self, one: _Object) -> Entity:
        return self._named(EntityKind.CLUSTER_OBJECT, one.kind, one.space, one.name)

    def _top(self, one: _Object) -> tuple[str, str, Strength]:
        """Return kind and name of the controller that an object is of, and how sure that is."""
        kind, name, here, strength = one.kind, one.name, one, Strength.RECORDED
        for _ in range(_DEEP):
            owner = None if here.kind in _FINAL else _owner(here)
            if owner is None:
                break
            kind, name = owner
            above = self._known.get((kind, one.space, name))
            if above is None:
                # A ReplicaSet of a Deployment has the hash of its template at the end of its name.
                mark = f"-{text(inner(here.meta, 'labels'), _HASH)}"
                if kind == "ReplicaSet" and len(mark) > 1 and name.endswith(mark):
                    return "Deployment", name.removesuffix(mark), Strength.LABEL
                break
            here = above
        return kind, name, strength

    def _pod(self, pod: _Object) -> None:
        kind, name, strength = self._top(pod)
        if kind == "Node":  # a pod that a node runs of its own files
            name = pod.name.removesuffix(f"-{text(pod.spec, 'nodeName')}")
        workload = Entity(EntityKind.WORKLOAD, f"{pod.space or 'default'}/{name}")
        status = inner(pod.data, "status")
        self._said.note(workload, kind=kind if kind != "Node" else "Pod")
        self._label(pod.space, workload, inner(pod.meta, "labels"))
        if text(status, "phase") in {"Succeeded", "Failed"}:
            return
        self._seen.add(workload)
        self._owned(pod)
        self._runs(pod, workload, pod.spec, strength)
        host = text(pod.spec, "nodeName")
        told = {text(one, "name"): one for key in _STATUSES for one in objects(status, key)}
        for spec in (one for key in _CONTAINERS for one in objects(pod.spec, key)):
            seen = told.get(text(spec, "name"), {})
            image = _image(text(seen, "imageID"), text(spec, "image"))
            if image is None:
                self._said.refuse(pod.where, f"container {text(spec, 'name')!r} has no image")
                continue
            which, sure, facts = image
            # A tag may mean another image whenever a container starts: since then it is this one.
            state = inner(seen, "state")
            since = instant(inner(state, "running").get("startedAt")) or pod.since
            self._say(pod, workload, "instance_of", which, strength=min(sure, strength), since=since, **facts)
            if not (identity := text(seen, "containerID").rpartition("//")[2]) or "terminated" in state:
                continue
            container = Entity(EntityKind.CONTAINER, identity)
            if sure is Strength.RECORDED and "digest_of" not in facts:
                # Runtimes name the manifest: another name of the same image would contradict them.
                self._say(pod, container, "instance_of", which, since=since, **facts)
            self._say(pod, container, "part_of", workload, strength=strength, since=since)
            if host:
                self._say(pod, container, "runs_on", Entity(EntityKind.HOST, host), since=since)

    def _controller(self, one: _Object) -> None:
        self._owned(one)
        if one.kind not in _FINAL and _owner(one) is not None:
            return
        workload = Entity(EntityKind.WORKLOAD, f"{one.space or 'default'}/{one.name}")
        self._said.note(workload, kind=one.kind)
        self._say(one, workload, "defined_by", self._object(one))
        self._declared(one, workload)
        template = _template(one)
        self._label(one.space, workload, inner(inner(template, "metadata"), "labels"))
        if workload not in self._seen and one.spec.get("replicas") != 0 and not self._sees_pods:
            # Only what it asks for is known, not what runs.
            self._runs(one, workload, inner(template, "spec"), Strength.RECORDED)
            for spec in (c for key in _CONTAINERS for c in objects(inner(template, "spec"), key)):
                if image := _image("", text(spec, "image")):
                    which, sure, facts = image
                    self._say(one, workload, "instance_of", which, strength=sure, declared=True, **facts)

    @property
    def _sees_pods(self) -> bool:
        return bool(self._seen)

    def _owned(self, one: _Object) -> None:
        """Say who owns an object in the cluster."""
        for owner in objects(one.meta, "ownerReferences"):
            if (kind := text(owner, "kind")) and (name := text(owner, "name")):
                space = "" if kind == "Node" else one.space
                above = self._named(EntityKind.CLUSTER_OBJECT, kind, space, name)
                self._say(one, above, "manages", self._object(one))

    def _declared(self, one: _Object, workload: Entity) -> None:
        """Say what labels and annotations tell of a workload or object: its release, its file, its data."""
        said = one.said
        for release in gitops.releases(said, one.space):
            target = self._named(EntityKind.IAC_RESOURCE, *release)
            self._say(one, workload, "defined_by", target, strength=Strength.LABEL)
        by = {str(name).rpartition("/")[2]: str(value) for name, value in said.items()}
        about: dict[str, Any] = {"of": one.kind, "space": one.space}
        traced(self._said, workload, by, one.where, **about)
        data_set(self._said, workload, said, one.where, relation="processes", **about)

    def _runs(self, one: _Object, workload: Entity, spec: Mapping[str, Any], strength: Strength) -> None:
        """Say as whom a workload runs, and with whose data."""
        account = text(spec, "serviceAccountName") or text(spec, "serviceAccount") or "default"
        target = self._named(EntityKind.SERVICE_ACCOUNT, one.space or "default", account)
        self._say(one, workload, "runs_as", target, strength=strength)
        if one.kind == "Pod" and _owner(one) is None:
            self._declared(one, workload)
        for volume in objects(spec, "volumes"):
            claim = self._known.get(
                (
                    "PersistentVolumeClaim",
                    one.space,
                    text(inner(volume, "persistentVolumeClaim"), "claimName"),
                )
            )
            if claim is not None:
                data_set(
                    self._said, workload, claim.said, one.where, relation="processes",
                    name=f"{claim.space}/{claim.name}", of=one.kind, space=one.space,
                )  # fmt: skip

    def _stored(self, one: _Object) -> None:
        data_set(
            self._said, self._object(one), one.said, one.where, name=f"{one.space}/{one.name}", of=one.kind,
            space=one.space,
        )  # fmt: skip

    def _label(self, space: str, workload: Entity, labels: Mapping[str, Any]) -> None:
        """Keep labels of pods, each set of a workload's once: by them services find it."""
        pairs = _pairs(labels)
        key = (workload, tuple(sorted(pairs.items())))
        if key not in self._labelled:
            self._labelled.add(key)
            for pair in pairs.items():
                self._labels[(space, *pair)].append((workload, pairs))

    def _behind(self, space: str, selector: Mapping[str, Any]) -> list[Entity]:
        """Return the workloads that a selector means; none for an empty one, and for one that is none."""
        if not selector or len(_pairs(selector)) < len(selector):
            return []
        rarest = min((self._labels.get((space, *pair), []) for pair in selector.items()), key=len)
        found = (workload for workload, labels in rarest if selector.items() <= labels.items())
        return list(dict.fromkeys(found))

    def _service(self, one: _Object) -> None:
        self._declared(one, self._object(one))
        behind = self._behind(one.space, inner(one.spec, "selector"))
        self._services[one.space, one.name] = behind
        outside = [
            text(way, "ip") or text(way, "hostname")
            for way in objects(inner(inner(one.data, "status"), "loadBalancer"), "ingress")
        ]
        for port in objects(one.spec, "ports"):
            number, protocol = port.get("port"), (text(port, "protocol") or "TCP").casefold()
            own = self._named(EntityKind.ENDPOINT, f"{protocol}://{one.name}.{one.space}.svc:{number}")
            public = [
                Entity(EntityKind.ENDPOINT, f"{protocol}://{host}:{number}") for host in outside if host
            ]
            for workload in behind:
                for endpoint in (own, *public):
                    self._say(one, workload, "exposes", endpoint, type=text(one.spec, "type"))
            for endpoint in (own, *public):
                self._say(one, endpoint, "defined_by", self._object(one))

    def _ingress(self, one: _Object) -> None:
        self._declared(one, self._object(one))
        secure = {host for tls in objects(one.spec, "tls") for host in texts(tls.get("hosts"))}
        rules: list[tuple[str, str, Mapping[str, Any]]] = [
            (text(rule, "host") or _NO_HOST, text(path, "path") or "/", inner(path, "backend"))
            for rule in objects(one.spec, "rules")
            for path in objects(inner(rule, "http"), "paths")
        ]
        if fallback := inner(one.spec, "defaultBackend"):
            rules.append((_NO_HOST, "/", fallback))
        for host, path, backend in rules:
            name = text(inner(backend, "service"), "name") or text(backend, "serviceName")
            scheme = "https" if host in secure else "http"
            where = f"{scheme}://{host}{path}"
            endpoint = (
                Entity(EntityKind.ENDPOINT, where)
                if host != _NO_HOST
                else self._named(EntityKind.ENDPOINT, where)
            )
            if (one.space, name) not in self._services and any(True for _ in self._of("Service")):
                self._said.refuse(
                    one.where, f"{where} leads to the service {name!r}, which is not there", lost=False
                )
            self._say(one, endpoint, "defined_by", self._object(one), service=name)
            for workload in self._services.get((one.space, name), ()):
                self._say(one, workload, "exposes", endpoint, service=name)
            if host != _NO_HOST and "*" not in host:
                self._say(one, Entity(EntityKind.DOMAIN, host), "resolves_to", endpoint)

    def _applied(self, one: _Object) -> None:
        """Say of which commit a GitOps tool applied a release."""

        def source(space: str, name: str) -> Mapping[str, Any]:
            found = self._known.get((gitops.SOURCE, space, name))
            return {} if found is None else found.data

        for applied in gitops.applied(one.kind, one.data, source):
            made = Entity(EntityKind.COMMIT, applied.commit)
            target = self._named(EntityKind.IAC_RESOURCE, *applied.release)
            home = Entity(EntityKind.REPOSITORY, applied.repository)
            self._say(one, target, "built_from", made, repository=applied.repository, folder=applied.folder)
            self._say(one, made, "in_repository", home)

    def _account(self, one: _Object) -> None:
        own = self._named(EntityKind.SERVICE_ACCOUNT, one.space, one.name)
        said = inner(one.meta, "annotations")
        if role := text(said, _AWS_ROLE):
            self._say(one, own, "has_role", Entity(EntityKind.ROLE, role), strength=Strength.LABEL)
        if account := text(said, _GCP_ACCOUNT):
            target = Entity(EntityKind.PRINCIPAL, account)
            self._say(one, own, "runs_as", target, strength=Strength.LABEL)

    def _role(self, one: _Object) -> None:
        role = self._named(EntityKind.ROLE, one.kind, one.space, one.name)
        rules = objects(one.data, "rules")
        told = [
            f"{_joined(rule.get('verbs'))} {_joined(rule.get('resources') or rule.get('nonResourceURLs'))}"
            for rule in rules[:50]
        ]
        self._said.note(role, rules=list(told))
        for rule in rules:
            for name in texts(rule.get("resourceNames")):
                for resource in texts(rule.get("resources")):
                    target = self._named(EntityKind.CLUSTER_OBJECT, resource, one.space, name)
                    self._say(one, role, "grants", target, verbs=_joined(rule.get("verbs")))

    def _binding(self, one: _Object) -> None:
        reference = inner(one.data, "roleRef")
        kind, name = text(reference, "kind"), text(reference, "name")
        if not (kind and name):
            self._said.refuse(one.where, f"{one.kind} {one.name!r} names no role")
            return
        role = self._named(EntityKind.ROLE, kind, one.space if kind == "Role" else "", name)
        for subject in objects(one.data, "subjects"):
            who = self._subject(subject, one.space)
            if who is None:
                self._said.refuse(one.where, f"{one.kind} {one.name!r} has a subject without kind or name")
                continue
            # A ClusterRole that a RoleBinding gives counts in its namespace only.
            within = one.space if one.kind == "RoleBinding" else ""
            self._say(one, who, "has_role", role, within=within)

    def _subject(self, subject: Mapping[str, Any], space: str) -> Entity | None:
        kind, name = text(subject, "kind"), text(subject, "name")
        if not name:
            return None
        if kind == "ServiceAccount":
            return self._named(EntityKind.SERVICE_ACCOUNT, text(subject, "namespace") or space, name)
        account = re.fullmatch(r"system:serviceaccount:([^:]+):([^:]+)", name)
        if kind == "User" and account:
            return self._named(EntityKind.SERVICE_ACCOUNT, account[1], account[2])
        if kind == "User":
            return Entity(EntityKind.USER, name.casefold())
        return self._named(EntityKind.IDENTITY, f"group:{name}") if kind == "Group" else None


_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def _owner(one: _Object) -> tuple[str, str] | None:
    owners = [own for own in objects(one.meta, "ownerReferences") if text(own, "kind") and text(own, "name")]
    best = next((own for own in owners if own.get("controller") is True), owners[0] if owners else None)
    return None if best is None else (text(best, "kind"), text(best, "name"))


def _template(one: _Object) -> dict[str, Any]:
    spec = inner(inner(one.spec, "jobTemplate"), "spec") if one.kind == "CronJob" else one.spec
    return inner(spec, "template")


def _image(identity: str, reference: str) -> tuple[Entity, Strength, dict[str, Any]] | None:
    """Return an image, how sure it is that it is that one, and what is told of it.

    The digest in ``imageID`` with a repository is that of the manifest, which attestations are about; one
    that stands alone is of the configuration. Without any, the reference is a name: it may move.
    """
    facts: dict[str, Any] = {"reference": reference}
    if found := _DIGEST.search(identity.rpartition("://")[2]):
        alone = "@" not in identity
        return (
            Entity(EntityKind.IMAGE, found[1]),
            Strength.RECORDED,
            facts | ({"digest_of": "configuration"} if alone else {}),
        )
    if found := _DIGEST.search(reference):
        return Entity(EntityKind.IMAGE, found[1]), Strength.RECORDED, facts
    if reference:
        return Entity(EntityKind.IMAGE, reference), Strength.NAME_MATCH, facts
    return None


def _pairs(value: Mapping[str, Any]) -> dict[str, str]:
    return {name: one for name, one in value.items() if isinstance(one, str)}


def _joined(value: Any) -> str:
    return ",".join(texts(value))
