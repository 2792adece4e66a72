"""What a Terraform or OpenTofu state or plan says: which cloud resource is defined by which code. Pure.

Formats: state version 4 (`terraform.tfstate`), and `terraform show -json` of a state or a plan (JSON output
format 1.x: ``values``, ``planned_values``, ``prior_state``, ``resource_changes``, ``configuration``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.graph.builds import at as inner
from lemnis.graph.builds import text
from lemnis.graph.collect import Collected, Gatherer, data_set, instant, tags, texts, traced

STATE, PLAN = "terraform_state", "terraform_plan"
_DEEP: Final = 50
_STATE_VERSION: Final = 4
_ROLES = ("role", "role_arn", "iam_role_arn", "execution_role_arn", "task_role_arn", "service_role_arn",
          "node_role_arn", "service_account_email", "service_account")  # fmt: skip
_WHOLE = re.compile(r"^(?:arn:|/subscriptions/|projects/|https://|//)")
_ROLE = re.compile(r"^arn:[a-z-]+:iam::\d*:role/")
_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")
_LOCAL = frozenset({"random", "null", "time", "tls", "local", "template", "terraform", "external", "archive"})
"""Providers whose resources are nowhere but in the state."""
_WORKLOADS = re.compile(r"^kubernetes_(?:deployment|stateful_?set|daemon_?set|cron_job|job)(?:_v1)?$")
_INDEX = re.compile(r"\[(?:\d+|\"(?:[^\"\\]|\\.)*\")\]")


@dataclass(frozen=True, slots=True)
class _Resource:
    """An instance of a resource: its address, type, provider, values and where it stands in the file."""

    address: str
    module: str
    kind: str
    provider: str
    values: Mapping[str, Any]
    depends: tuple[str, ...]
    where: str
    sensitive: bool = False


def is_one(document: Any) -> bool:
    """Say whether a document is a state or a plan."""
    if not isinstance(document, dict):
        return False
    if document.get("version") == _STATE_VERSION and isinstance(document.get("resources"), list):
        return "terraform_version" in document or "lineage" in document
    return "format_version" in document and (
        isinstance(document.get("values"), dict)
        or "planned_values" in document
        or isinstance(document.get("resource_changes"), list)
        or "terraform_version" in document
    )


def collect(document: Mapping[str, Any], *, scope: str = "") -> Collected:
    """Read a state or a plan; ``scope`` names the stack, and begins the addresses of its resources.

    Without it the addresses of a state begin with its lineage, which no other state has. A plan tells which
    cloud resources there are (``prior_state``, ``before``) and which code defines them; what it would make
    has no name yet. A state is all there is of its stack; a plan too, of what is planned.
    """
    if not is_one(document):
        said = Gatherer(STATE, scope)
        said.refuse("the document", "neither a state nor a plan")
        return said.done(covers=frozenset())
    plan = "values" not in document and "resources" not in document
    name = scope or text(document, "lineage")
    said = Gatherer(PLAN if plan else STATE, name)
    reader = _Reader(said, name)
    if document.get("version") == _STATE_VERSION:
        found = _of_state(said, document)
    elif plan:
        found = _of_plan(said, document)
    else:
        found = _modules(said, inner(inner(document, "values"), "root_module"), "values.root_module", 0)
    for one in found:
        reader.tell(one)
    if plan or "configuration" in document:
        calls = inner(inner(document, "configuration"), "root_module")
        reader.modules(calls, "configuration.root_module", "", 0)
    return said.done(
        at=instant(document.get("timestamp")), covers=frozenset({"resource", "module"}),
        secret=reader.holds_secrets,
    )  # fmt: skip


class _Reader:
    """One state or plan, while it is read."""

    def __init__(self, said: Gatherer, scope: str) -> None:
        self._said, self._prefix = said, f"{scope}/" if scope else ""
        self.holds_secrets = False

    def _code(self, address: str) -> Entity:
        return Entity(EntityKind.IAC_RESOURCE, self._prefix + address)

    def tell(self, one: _Resource) -> None:
        """Say what an instance says."""
        said, code, values = self._said, self._code(one.address), one.values
        if one.sensitive or any(isinstance(v, str) and v and _secret(name) for name, v in values.items()):
            self.holds_secrets = True
        live = _live(one)
        by = tags(values.get("tags_all") or values.get("tags") or values.get("labels"))
        for holder in (code, live):
            if holder is not None:
                traced(said, holder, by, one.where, of="resource")
        if one.module:
            module = Entity(EntityKind.MODULE, self._prefix + _INDEX.sub("", one.module))
            said.say(code, "uses", module, one.where, of="resource")
        for other in one.depends:
            said.say(code, "depends_on", self._code(other), one.where, of="resource")
        said.note(code, type=one.kind, provider=one.provider)
        if live is None:
            return
        said.say(live, "defined_by", code, one.where, of="resource", type=one.kind)
        said.note(live, type=one.kind, name=str(values.get("name") or by.get("Name", ""))[:200])
        data_set(said, live, by, one.where, of="resource")
        if image := _DIGEST.search(str(values.get("image_uri") or "")):
            said.say(live, "instance_of", Entity(EntityKind.IMAGE, image[1]), one.where, of="resource")
        for name in _ROLES:
            role = values.get(name)
            if isinstance(role, str) and _ROLE.match(role):
                said.say(
                    live, "has_role", Entity(EntityKind.ROLE, role), one.where, of="resource", attribute=name
                )

    def modules(self, root: Mapping[str, Any], where: str, path: str, depth: int) -> None:
        """Say which source each module that is called has."""
        if depth > _DEEP:
            self._said.refuse(where, f"more than {_DEEP} modules within each other")
            return
        for name, call in inner(root, "module_calls").items():
            if not isinstance(call, dict):
                self._said.refuse(f"{where}.module_calls.{name}", "no object")
                continue
            here = f"{path}.module.{name}".lstrip(".")
            place = f"{where}.module_calls.{name}"
            if source := text(call, "source"):
                version = text(call, "version_constraint")
                target = Entity(EntityKind.MODULE, f"{source}@{version}" if version else source)
                own = Entity(EntityKind.MODULE, self._prefix + here)
                self._said.say(own, "uses", target, place, of="module")
            self.modules(inner(call, "module"), f"{place}.module", here, depth + 1)


def _of_state(said: Gatherer, document: Mapping[str, Any]) -> Iterator[_Resource]:
    for where, one in said.objects(document.get("resources"), "resources"):
        kind, name, module = text(one, "type"), text(one, "name"), text(one, "module")
        if text(one, "mode") == "data":
            continue
        if not (kind and name):
            said.refuse(where, "a resource without type or name")
            continue
        address = ".".join(part for part in (module, kind, name) if part)
        for place, each in said.objects(one.get("instances"), f"{where}.instances"):
            attributes = each.get("attributes", each.get("attributes_flat"))
            if not isinstance(attributes, dict):
                said.refuse(place, f"{address}: an instance without attributes")
                continue
            depends = tuple(texts(each.get("dependencies")))
            full = address + _index(each.get("index_key"))
            provider, secret = _provider(text(one, "provider")), bool(each.get("sensitive_attributes"))
            yield _Resource(full, module, kind, provider, attributes, depends, place, secret)


def _of_plan(said: Gatherer, document: Mapping[str, Any]) -> Iterator[_Resource]:
    prior = inner(inner(inner(document, "prior_state"), "values"), "root_module")
    seen = set()
    for one in _modules(said, prior, "prior_state.values.root_module", 0):
        seen.add(one.address)
        yield one
    for where, change in said.objects(document.get("resource_changes"), "resource_changes"):
        address, kind = text(change, "address"), text(change, "type")
        if text(change, "mode") == "data" or address in seen:
            continue
        if not (address and kind):
            said.refuse(where, "a change without address or type")
            continue
        seen.add(address)
        before = inner(inner(change, "change"), "before")
        # Without `before` it is only planned: its tags and module are known, its name in the cloud is not.
        values = before or {
            name: value
            for name, value in inner(inner(change, "change"), "after").items()
            if name in {"tags", "tags_all", "labels"}
        }
        module = text(change, "module_address")
        yield _Resource(address, module, kind, _provider(text(change, "provider_name")), values, (), where)
    planned = inner(inner(document, "planned_values"), "root_module")
    for one in _modules(said, planned, "planned_values.root_module", 0):
        if one.address not in seen:
            yield one


def _modules(said: Gatherer, module: Mapping[str, Any], where: str, depth: int) -> Iterator[_Resource]:
    """Yield the resources of a module and of those that it calls, as `show -json` has them."""
    if depth > _DEEP:
        said.refuse(where, f"more than {_DEEP} modules within each other")
        return
    for place, one in said.objects(module.get("resources"), f"{where}.resources"):
        address, kind = text(one, "address"), text(one, "type")
        if text(one, "mode") == "data":
            continue
        if not (address and kind):
            said.refuse(place, "a resource without address or type")
            continue
        depends = tuple(texts(one.get("depends_on")))
        yield _Resource(
            address, text(module, "address"), kind, _provider(text(one, "provider_name")),
            inner(one, "values"), depends, place, _marked(one.get("sensitive_values")),
        )  # fmt: skip
    for place, one in said.objects(module.get("child_modules"), f"{where}.child_modules"):
        yield from _modules(said, one, place, depth + 1)


def _live(one: _Resource) -> Entity | None:
    """Return the resource in the cloud: by its ARN or an id that is unique, else by type and id.

    A controller in a cluster is the workload that it is.
    """
    if one.kind.partition("_")[0] in _LOCAL:
        return None
    for name in ("arn", "self_link", "id"):
        value = one.values.get(name)
        if isinstance(value, str) and _WHOLE.match(value):
            kind = EntityKind.ROLE if _ROLE.match(value) else EntityKind.CLOUD_RESOURCE
            return Entity(kind, value)
    identity = one.values.get("id")
    if _WORKLOADS.match(one.kind) and isinstance(identity, str) and identity:
        return Entity(EntityKind.WORKLOAD, identity)
    if isinstance(identity, str | int) and not isinstance(identity, bool) and identity != "":
        return Entity(EntityKind.CLOUD_RESOURCE, f"{one.kind}/{identity}")
    return None


def _index(key: Any) -> str:
    if isinstance(key, str):
        escaped = key.replace("\\", "\\\\").replace('"', '\\"')
        return f'["{escaped}"]'
    return f"[{key}]" if isinstance(key, int) and not isinstance(key, bool) else ""


def _provider(said: str) -> str:
    """Return a provider's short name: ``aws`` for ``provider["registry…/hashicorp/aws"]``."""
    return said.rstrip('"]').rpartition("/")[2].rpartition('"')[2].removeprefix("provider.")


def _secret(name: str) -> bool:
    return name == "content" or any(
        word in name for word in ("password", "secret", "private_key", "access_key", "token")
    )


def _marked(value: Any) -> bool:
    """Say whether anything in ``sensitive_values`` is marked as such."""
    left = [value]
    while left:
        one = left.pop()
        if one is True:
            return True
        left += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return False
