"""A simulated Kubernetes API server: what playbooks read and change of a cluster, with its errors."""

from __future__ import annotations

import copy
import hmac
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from lemnis.testing.server import Asked, Reply, Simulator

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_KINDS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("/api/v1", "pods"): ("Pod", ""),
    ("/apis/apps/v1", "deployments"): ("Deployment", "apps"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"): ("NetworkPolicy", "networking.k8s.io"),
    ("/api/v1", "nodes"): ("Node", ""),
    (_RBAC, "clusterrolebindings"): ("ClusterRoleBinding", "rbac.authorization.k8s.io"),
}
_WHOLE = frozenset({"nodes", "clusterrolebindings"})
"""Kinds that belong to the cluster and to no namespace."""
_MERGE = "application/merge-patch+json"
_NAMESPACE_PARTS = 2
_Key = tuple[str, str, str]


class KubernetesSimulator(Simulator):
    """Starts with ``objects`` (manifests); if ``token`` is set, requests need it as their bearer token."""

    def __init__(
        self,
        objects: Iterable[Mapping[str, Any]] = (),
        *,
        token: str = "",
        port: int = 0,
        delay: float = 0,
    ) -> None:
        """Namespaces come into being with the first object in them."""
        super().__init__(port=port, delay=delay)
        self._token = token
        self._version = 0
        self._namespaces = {"default", "kube-system"}
        self._objects: dict[_Key, dict[str, Any]] = {}
        for one in objects:
            self.add(one)

    def add(self, manifest: Mapping[str, Any]) -> None:
        """Put an object there, as if it had been applied."""
        meta = manifest["metadata"]
        if manifest["kind"] == "Namespace":
            self._namespaces.add(meta["name"])
            return
        plural = next(key[1] for key, kind in _KINDS.items() if kind[0] == manifest["kind"])
        space = "" if plural in _WHOLE else meta.get("namespace", "default")
        if space:
            self._namespaces.add(space)
        self._put((plural, space, meta["name"]), copy.deepcopy(dict(manifest)))

    def objects(self, plural: str, namespace: str) -> list[dict[str, Any]]:
        """Return the objects of a kind (``networkpolicies``) in a namespace, by name."""
        with self._lock:
            return copy.deepcopy(self._list(plural, namespace))

    def answer(self, asked: Asked) -> Reply:
        """Answer as the API server does."""
        given = asked.headers.get("authorization", "")
        if self._token and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return _status(401, "Unauthorized", "Unauthorized")
        if any(f"/{plural}" in asked.path for plural in _WHOLE):
            return self._of_cluster(asked)
        group, _, rest = asked.path.partition("/namespaces")
        parts = [unquote(part) for part in rest.split("/") if part]
        if group == "/api/v1" and len(parts) < _NAMESPACE_PARTS and asked.method == "GET":
            return self._namespace(parts)
        if len(parts) not in {2, 3} or (group, parts[1]) not in _KINDS:
            return _status(404, "NotFound", "the server could not find the requested resource")
        kind, api = _KINDS[group, parts[1]]
        if len(parts) == _NAMESPACE_PARTS:
            return self._collection(asked, parts[0], parts[1], kind, api)
        return self._object(asked, (parts[1], parts[0], parts[2]), f"{parts[1]}.{api}" if api else parts[1])

    def _collection(self, asked: Asked, space: str, plural: str, kind: str, api: str) -> Reply:
        if asked.method == "GET":
            meta = {"resourceVersion": str(self._version)}
            version = f"{api}/v1" if api else "v1"
            items = self._list(plural, space)
            return _json(
                200, {"kind": f"{kind}List", "apiVersion": version, "metadata": meta, "items": items}
            )
        if asked.method != "POST":
            return _no(asked)
        if space and space not in self._namespaces:
            return _status(404, "NotFound", f'namespaces "{space}" not found')
        return self._create(asked, plural, space, kind, api)

    def _object(self, asked: Asked, key: _Key, full: str) -> Reply:
        if key not in self._objects:
            return _status(404, "NotFound", f'{full} "{key[2]}" not found')
        if asked.method == "GET":
            return _json(200, self._objects[key])
        if asked.method == "PUT":
            return self._replace(asked, key, full)
        if asked.method == "PATCH":
            return self._patch(asked, key)
        return self._delete(asked, key, full) if asked.method == "DELETE" else _no(asked)

    def _of_cluster(self, asked: Asked) -> Reply:
        """Answer about objects that are in no namespace."""
        head, _, name = asked.path.rpartition("/")
        group, _, plural = head.rpartition("/")
        if (head, name) in _KINDS:
            kind, api = _KINDS[head, name]
            return self._collection(asked, "", name, kind, api)
        if (group, plural) not in _KINDS:
            return _status(404, "NotFound", "the server could not find the requested resource")
        _, api = _KINDS[group, plural]
        return self._object(asked, (plural, "", unquote(name)), f"{plural}.{api}" if api else plural)

    def _patch(self, asked: Asked, key: _Key) -> Reply:
        """Merge a patch in (RFC 7396): null takes a field away."""
        body = _read(asked)
        if asked.headers.get("content-type", "").partition(";")[0] != _MERGE:
            text = f"the body of the request was in an unknown format; accepted media types include {_MERGE}"
            return _status(415, "UnsupportedMediaType", text)
        if body is None:
            return _status(400, "BadRequest", "the object provided is unrecognized")
        self.changed(f"patch {key[0]} {_named(key)}")
        return _json(200, self._put(key, _merged(self._objects[key], body)))

    def _namespace(self, parts: list[str]) -> Reply:
        if not parts:
            items = [_namespace(name) for name in sorted(self._namespaces)]
            return _json(200, {"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": items})
        if parts[0] not in self._namespaces:
            return _status(404, "NotFound", f'namespaces "{parts[0]}" not found')
        return _json(200, _namespace(parts[0]))

    def _list(self, plural: str, space: str) -> list[dict[str, Any]]:
        return [one for key, one in sorted(self._objects.items()) if key[:2] == (plural, space)]

    def _create(self, asked: Asked, plural: str, space: str, kind: str, api: str) -> Reply:
        body = _read(asked)
        problem = _invalid(body, kind, space)
        if body is None or problem:
            return _status(422 if body else 400, "Invalid" if body else "BadRequest", problem)
        key = (plural, space, body["metadata"]["name"])
        if key in self._objects:
            full = f"{plural}.{api}" if api else plural
            return _status(409, "AlreadyExists", f'{full} "{key[2]}" already exists')
        self.changed(f"create {plural} {_named(key)}")
        return _json(201, self._put(key, body))

    def _replace(self, asked: Asked, key: _Key, full: str) -> Reply:
        body, old = _read(asked), self._objects[key]
        problem = _invalid(body, old["kind"], key[1])
        if body is None or problem:
            return _status(422 if body else 400, "Invalid" if body else "BadRequest", problem)
        given = body["metadata"].get("resourceVersion")
        if given and given != old["metadata"]["resourceVersion"]:
            return _status(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {full} "{key[2]}": the object has been modified',
            )
        self.changed(f"replace {key[0]} {_named(key)}")
        body["metadata"]["uid"] = old["metadata"]["uid"]
        return _json(200, self._put(key, body))

    def _delete(self, asked: Asked, key: _Key, full: str) -> Reply:
        wanted = ((_read(asked) or {}).get("preconditions") or {}).get("uid")
        uid = self._objects[key]["metadata"]["uid"]
        if wanted not in {None, uid}:
            text = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
            return _status(409, "Conflict", text)
        gone = self._objects.pop(key)
        self._version += 1
        self.changed(f"delete {key[0]} {_named(key)}")
        details = {"name": key[2], "kind": full, "uid": gone["metadata"]["uid"]}
        return _json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": details})

    def _put(self, key: _Key, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        meta = body["metadata"]
        meta |= {"resourceVersion": str(self._version)} | ({"namespace": key[1]} if key[1] else {})
        meta.setdefault("uid", str(uuid.uuid4()))
        self._objects[key] = body
        return body


def _named(key: _Key) -> str:
    return f"{key[1]}/{key[2]}" if key[1] else key[2]


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(new, dict):
        return new
    kept = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = _merged(kept.get(name), value)
    return kept


def _namespace(name: str) -> dict[str, Any]:
    return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}


def _read(asked: Asked) -> dict[str, Any] | None:
    try:
        body = orjson.loads(asked.body)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _invalid(body: dict[str, Any] | None, kind: str, space: str) -> str:
    """Say what is wrong with an object; empty if nothing."""
    if body is None:
        return "the object provided is unrecognized"
    meta = body.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not meta["name"]:
        return f"{kind} is invalid: metadata.name: Required value: name or generateName is required"
    if body.get("kind") != kind:
        return f"{kind} is invalid: kind: Invalid value: {body.get('kind')!r}"
    if meta.get("namespace", space) != space:
        return "the namespace of the provided object does not match the namespace sent on the request"
    spec = body.get("spec")
    if kind == "NetworkPolicy" and not (isinstance(spec, dict) and isinstance(spec.get("podSelector"), dict)):
        return (
            f'NetworkPolicy.networking.k8s.io "{meta["name"]}" is invalid: spec.podSelector: Required value'
        )
    return ""


def _no(asked: Asked) -> Reply:
    return _status(405, "MethodNotAllowed", f"the server does not allow {asked.method} here")


def _status(code: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "code": code}  # fmt: skip
    return _json(code, body)


def _json(code: int, body: Any) -> Reply:
    return Reply(code, orjson.dumps(body))
