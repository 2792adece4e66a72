"""From a process to the container it ran in: up the tree of parents to the first process of a container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import Edge, Strength

MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Started:
    """A process was started: event uid, host, its number and its parent's, when (ms), what was run, where."""

    uid: str
    host: str
    pid: int
    parent: int
    at: int
    program: str = ""
    command: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A container's life: the events that say so, its first process on the host, its image, and when (ms)."""

    uids: tuple[str, ...]
    host: str
    id: str
    pid: int
    image: str
    image_digest: str
    workload: str
    since: int
    until: int | None = None

    def alive(self, at: int) -> bool:
        """Say whether it ran at an instant."""
        return self.since <= at and (self.until is None or at <= self.until)


@dataclass(frozen=True, slots=True)
class Tree:
    """The processes of all hosts, by host and number; numbers are used again, so each has a history."""

    starts: Mapping[tuple[str, int], Sequence[Started]]

    @classmethod
    def of(cls, starts: Iterable[Started]) -> Tree:
        """Index starts, in any order."""
        found: dict[tuple[str, int], list[Started]] = {}
        for start in sorted(starts, key=lambda one: (one.at, one.uid)):
            found.setdefault((start.host, start.pid), []).append(start)
        return cls(found)

    def at(self, host: str, pid: int, at: int) -> Started | None:
        """Return the start that was in force for a number at an instant."""
        past = [one for one in self.starts.get((host, pid), ()) if one.at <= at]
        return past[-1] if past else None

    def ancestors(self, start: Started) -> list[Started]:
        """Return the process and its known ancestors, nearest first."""
        chain, current = [start], start
        while len(chain) < MAX_DEPTH:
            parent = self.at(current.host, current.parent, current.at)
            if parent is None or parent in chain:
                break
            chain.append(parent)
            current = parent
        return chain

    def descendants(self, start: Started, until: int) -> list[Started]:
        """Return what a process and its children started, up to an instant, in order of time."""
        known = {(start.host, start.pid)}
        found = [start]
        everything = sorted(
            (one for starts in self.starts.values() for one in starts), key=lambda one: one.at
        )
        for one in everything:
            if (
                start.at <= one.at <= until
                and one is not start
                and {(one.host, one.parent), (one.host, one.pid)} & known
            ):
                known.add((one.host, one.pid))
                found.append(one)
        return found


def container_of(
    start: Started, tree: Tree, containers: Iterable[Container]
) -> tuple[Container, list[Started]] | None:
    """Return the container whose first process is among the ancestors, and the chain up to it; else None.

    Where a sensor names the container of every process, its first is the last of them on the way up.
    """
    alive = {(c.host, c.pid): c for c in containers if c.alive(start.at)}
    chain = tree.ancestors(start)
    found: tuple[Container, list[Started]] | None = None
    for number, link in enumerate(chain):
        known = [alive[link.host, pid] for pid in (link.pid, link.parent) if (link.host, pid) in alive]
        if known and (found is None or (known[0].id == found[0].id and known[0].pid != found[0].pid)):
            found = known[0], chain[: number + 1]
        elif found is not None:
            break
    return found


def runs_in(process: Entity, start: Started, tree: Tree, containers: Iterable[Container]) -> Edge | None:
    """Return the edge from a process to its container, with the chain of processes as evidence."""
    found = container_of(start, tree, containers)
    if found is None:
        return None
    container, chain = found
    return Edge(
        source=process,
        target=Entity(EntityKind.CONTAINER, container.id),
        relation="runs_in",
        method="process_tree",
        strength=Strength.OBSERVED,
        evidence={
            "events": [*(link.uid for link in chain), *container.uids],
            "chain": [f"{link.pid} {link.program}".strip() for link in chain]
            + [f"{container.pid} (container)"],
        },
        valid_from=container.since,
        valid_to=container.until,
    )


def instance_of(container: Container) -> Edge:
    """Return the edge from a container to the image that its runtime says it runs."""
    return Edge(
        source=Entity(EntityKind.CONTAINER, container.id),
        target=Entity(EntityKind.IMAGE, container.image_digest),
        relation="instance_of",
        method="runtime_record",
        strength=Strength.RECORDED,
        evidence={"events": list(container.uids), "image": container.image, "workload": container.workload},
        valid_from=container.since,
        valid_to=container.until,
    )
