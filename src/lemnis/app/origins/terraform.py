"""Where what runs in a cloud is written as code: repository, commit, folder, and the resources there.

A state says which address in the code a resource has, and not in which repository. The stack's name says that
where it is a repository's (``--scope infra``, or ``infra/envs/prod`` for a folder of it); tags of yor name
file and commit; else the address is looked for in all repositories, and has to be in one place only. So it is
with stacks of CloudFormation (``cloudformation/STACK/LOGICAL-ID``), which are looked for in templates.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lemnis.app import settings
from lemnis.app.origins import code
from lemnis.app.origins.base import Asked, noted
from lemnis.app.origins.code import Place
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import InputError, NotFoundError
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.contracts.resources import Resource
from lemnis.graph import code_edges
from lemnis.scan import resources
from lemnis.scan.readers.terraform_values import TARGET

METHOD = "terraform_address"
_INDEX = re.compile(r"\[(?:\d+|\"(?:[^\"\\]|\\.)*\")\]")
_PREFIX = "terraform."
_MODULE = "module."
_ELSEWHERE = "?"
_STACKS = "cloudformation/"
_OWN_NAME = ("bucket", "name", "role_name", "identifier", "cluster_identifier", "function_name", "user_name")
"""Attributes by which resources are called in the cloud."""
_OF = ("bucket", "role", "user", "function_name", "repository", "db_instance_identifier", "resource_arn")
"""Attributes that say for which other resource something is set."""
_MOST = 20


@dataclass(frozen=True, slots=True)
class Written:
    """A resource as it is written: the place, its address there, the module's resources, how it was found."""

    place: Place
    resource: Resource
    module: tuple[Resource, ...]
    strength: Strength
    evidence: Mapping[str, Json]
    notes: tuple[str, ...]

    @property
    def files(self) -> frozenset[str]:
        """The files of its module, or its template."""
        return frozenset(one.place.path for one in self.module)

    def around(self) -> tuple[Resource, ...]:
        """Return the resource, what refers to it, and the documents and policies that those name in turn."""
        by_name = {one.name: one for one in self.module if one.kind.startswith(_PREFIX)}
        found = {self.resource.name: self.resource}
        own = {self.resource.data.get(name) for name in _OWN_NAME} - {None}
        for one in by_name.values():
            if self.resource.name in _named(one) or own & {
                one.data.get(name) for name in _OF if name in one.data
            }:
                found.setdefault(one.name, one)
        left = list(found.values())
        while left:
            for name in _named(left.pop()):
                if name in by_name and name not in found and _carries(name):
                    found[name] = by_name[name]
                    left.append(by_name[name])
        return tuple(found.values())


def defined_by(asked: Asked, thing: Entity) -> Edge:
    """Return the edge from what runs in a cloud to the code that defines it, as of then; else broken."""
    known = {
        edge.target: edge
        for edge in reversed(asked.graph.edges_from(thing, asked.at, ["defined_by"]))
        if edge.target.kind is EntityKind.IAC_RESOURCE and edge.holds
    }
    if known:
        first, *others = sorted(known.values(), key=lambda edge: -edge.strength)
        return _doubted(first, others)
    return code_edges.broken(
        thing, "defined_by", EntityKind.IAC_RESOURCE, "terraform_state",
        "nothing that was collected says which code defines it (`lemnis graph collect` takes states)",
    )  # fmt: skip


def _doubted(edge: Edge, others: Sequence[Edge]) -> Edge:
    """Return an edge with what says otherwise; where that counts as much, it is a mere name."""
    told: list[Json] = [f"{one.method} says that {one.target.value} defines it" for one in others[:_MOST]]
    even = any(one.strength >= edge.strength for one in others)
    return noted(replace(edge, strength=Strength.NAME_MATCH if even else edge.strength), notes=told)


def written(asked: Asked, defined: Edge) -> Written | str:
    """Return where the code that an edge leads to is written, else why that is not known.

    It is looked for at the commit that tags name, else at the newest that there was when the state was seen.
    """
    scope, address = split(defined.target.value)
    seen = min(_seen(defined) or asked.at, asked.at)
    when = replace(asked, at=seen)
    tagged, troubles = _tagged(when, defined, address)
    if tagged is not None:
        return tagged
    name, _, folder = scope.partition("/")
    stack = scope.startswith(_STACKS)
    known = [one.name for one in settings.load(asked.workspace).repositories]
    if name in known and not stack:
        found = _in_repository(when, name, address, below=folder)
        told = f"the stack {scope} is of repository {name}"
    else:
        look = _in_templates if stack else _in_repository
        found = [one for repository in known for one in look(when, repository, address)]
        told = ""
    live = [one for one in found if _called_as(one.resource, defined.source)]
    several, found = len(found) > 1, live if len(live) == 1 else found
    if len(found) != 1:
        return "; ".join([*troubles, _not_one(found, address, name if name in known else "")])
    [one] = found
    strength = Strength.RECORDED if told else Strength.LABEL if live else Strength.NAME_MATCH
    notes = [*troubles, told or "no record says of which repository the stack is"]
    if several:
        notes.append("the address is in several folders; this one gives the resource its name")
    return one.at(when, strength, address, notes)


def split(value: str) -> tuple[str, str]:
    """Return the stack's name and the address of a resource of the graph, the address without indexes."""
    plain = _INDEX.sub("", value)
    scope, _, address = plain.rpartition("/")
    return scope, address


@dataclass(frozen=True, slots=True)
class _Found:
    """A resource in a module (or a template: ``folder`` is its path) of a repository at a commit."""

    repository: str
    commit: str
    folder: str
    resource: Resource
    module: tuple[Resource, ...]

    def at(self, asked: Asked, strength: Strength, address: str, notes: Sequence[str]) -> Written:
        """Return it with its place opened and scanned."""
        place = code.place(asked, self.repository, self.commit)
        facts: dict[str, Json] = {"address": address, "folder": self.folder or "."}
        return Written(place, self.resource, self.module, strength, facts, tuple(notes))


def _tagged(asked: Asked, defined: Edge, address: str) -> tuple[Written | None, list[str]]:
    """Return what the tags of yor lead to, and why they do not where they do not."""
    troubles: list[str] = []
    for edge in asked.graph.leaving([defined.target, defined.source], asked.at, ["introduced_by"]):
        repository = str(edge.evidence.get("repository", ""))
        if edge.target.kind is not EntityKind.COMMIT or not edge.holds or not repository:
            continue
        try:
            name = code.name(asked, repository)
            found = _in_repository(asked, name, address, edge.target.value)
        except InputError as error:
            troubles.append(f"its tags name {repository} at {edge.target.value[:12]}: {error}")
            continue
        if len(found) == 1:
            told = f"tags name {repository} at {edge.target.value[:12]}"
            return found[0].at(asked, Strength.LABEL, address, [told]), troubles
        troubles.append(
            f"its tags name {repository} at {edge.target.value[:12]}, which has {len(found)} of it"
        )
    return None, troubles[:_MOST]


def _in_repository(
    asked: Asked, name: str, address: str, commit: str = "", *, below: str = ""
) -> list[_Found]:
    """Return where an address is in a repository, at a commit or the newest at the time.

    It is one of a stack whose own folder is ``below`` or in it.
    """
    repository = settings.repository(asked.workspace, name)
    try:
        whole = repository.resolve(commit) if commit else code.newest(repository, asked.at)
    except NotFoundError:
        if commit:
            raise
        return []
    files = [
        (path, data.decode(errors="replace"))
        for path, data in repository.tree(whole)
        if resources.in_module(path)
    ]
    modules = _modules(files)
    return [
        _Found(name, whole, folder, resource, tuple(modules[folder]))
        for folder, resource in _addressed(modules, address, below)
    ]


def _in_templates(asked: Asked, name: str, logical: str) -> list[_Found]:
    """Return where CloudFormation's templates of a repository have a logical id, at the newest commit."""
    repository = settings.repository(asked.workspace, name)
    try:
        commit = code.newest(repository, asked.at)
    except NotFoundError:
        return []
    found = []
    for path, data in repository.tree(commit):
        if not resources.fits(path) or logical.encode() not in data:
            continue
        read = resources.read(path, data.decode(errors="replace")).resources
        found += [
            _Found(name, commit, path, one, read)
            for one in read
            if one.name == logical and one.kind.startswith(_PREFIX)
        ]
    return found


def _modules(files: Sequence[tuple[str, str]]) -> dict[str, list[Resource]]:
    """Return the resources of Terraform's files by their folder."""
    found: dict[str, list[Resource]] = {}
    for read in resources.read_modules(files):
        for one in read.resources:
            found.setdefault(posixpath.dirname(one.place.path), []).append(one)
    return found


def _addressed(
    modules: Mapping[str, Sequence[Resource]], address: str, below: str
) -> Iterator[tuple[str, Resource]]:
    """Yield the folders and resources that an address may mean, from each module that no other here calls."""
    called = {_called(folder, one) for folder, some in modules.items() for one in some}
    seen: set[tuple[str, str]] = set()
    for root in sorted(set(modules) - called):
        if below and root != below and not root.startswith(f"{below}/"):
            continue
        folder, rest = _inside(modules, root, address)
        for one in modules.get(folder, ()):
            if one.name == rest and one.kind.startswith(_PREFIX) and (folder, rest) not in seen:
                seen.add((folder, rest))
                yield folder, one


def _inside(modules: Mapping[str, Sequence[Resource]], folder: str, address: str) -> tuple[str, str]:
    """Follow the modules that an address names to the folder of the last."""
    while address.startswith(_MODULE):
        name, _, rest = address.removeprefix(_MODULE).partition(".")
        call = next((one for one in modules.get(folder, ()) if one.name == f"{_MODULE}{name}"), None)
        folder, address = (_ELSEWHERE if call is None else _called(folder, call)), rest
    return folder, address


def _called(folder: str, call: Resource) -> str:
    """Return the folder that a call of a module leads to; ``?`` where it is no call or leads elsewhere."""
    source = str(call.data.get("source", "")) if call.kind == "terraform.module" else ""
    if not source.startswith(("./", "../")):
        return _ELSEWHERE
    found = posixpath.normpath(posixpath.join(folder, source))
    return "" if found == "." else found


def _called_as(resource: Resource, live: Entity) -> bool:
    """Say whether the code gives a resource the name that it has in the cloud."""
    last = re.split(r"[:/]", live.value)[-1]
    return any(resource.data.get(name) == last for name in _OWN_NAME)


def _not_one(found: Sequence[_Found], address: str, repository: str) -> str:
    """Say why an address leads to no one place."""
    where = f"repository {repository}" if repository else "the repositories of the settings"
    if not found:
        return f"{where} had no {address} when the state was seen"
    places = ", ".join(f"{one.repository}:{one.folder or '.'}" for one in found[:_MOST])
    return f"{address} is in several places of {where}, and nothing says which it is: {places}"


def _seen(edge: Edge) -> int | None:
    """Return when the state or plan was seen that says an edge (ms)."""
    told = edge.evidence.get("seen")
    try:
        return from_iso(told) if isinstance(told, str) else edge.valid_from
    except ValueError:
        return edge.valid_from


def _named(one: Resource) -> set[str]:
    """Return the addresses that a resource's values refer to."""
    return {found for text in _texts(dict(one.data)) for found in _references(text)}


def _references(text: str) -> Iterator[str]:
    for part in re.findall(r"\$\{([^{}]*)\}", text):
        for match in TARGET.finditer(part):
            yield match.group().strip()
        yield part.strip().partition(".")[0]  # a logical id; no address of Terraform is one word


def _texts(value: Json) -> Iterator[str]:
    """Yield the texts in a value, but for what others say of it (``related``)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            if name != "related":
                yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _carries(name: str) -> bool:
    """Say whether what an address names is a policy that another hands on."""
    return name.startswith(("data.aws_iam_policy_document.", "aws_iam_policy."))
