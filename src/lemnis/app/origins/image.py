"""From what ran in a container back to the commit its image was built from: where chains begin alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lemnis.app import attest, attest_labels, trace_code
from lemnis.app.origins.base import Asked, noted
from lemnis.app.scene import Scene, Seen
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import UNKNOWN, Edge, Strength
from lemnis.graph import code_edges
from lemnis.graph.attestation import Build
from lemnis.graph.labels import State
from lemnis.graph.process_tree import Container, instance_of, runs_in
from lemnis.graph.requests import Behind
from lemnis.lessons.prevent.base import Unproven

_CLAIMS: Mapping[str, tuple[str, EntityKind]] = MappingProxyType(
    {
        "revision": ("built_from", EntityKind.COMMIT),
        "source": ("built_from", EntityKind.REPOSITORY),
        "base_name": ("based_on", EntityKind.IMAGE),
        "base_digest": ("based_on", EntityKind.IMAGE),
        "invocation": ("built_by", EntityKind.BUILD),
        "builder": ("built_by", EntityKind.BUILD),
    }
)
"""What the labels of an image claim, by the fact of its build that they repeat."""
NEAR = 3  # how many requests that were merely near in time are shown


@dataclass(frozen=True, slots=True)
class Begun:
    """A chain from the first process that was seen in a container, as far as the commit, if it gets there.

    ``edges`` end at the commit where ``build`` is known, else at the hop that does not hold; ``group`` is all
    that was seen in the container, ``behind`` the requests behind ``first``.
    """

    first: Seen
    group: tuple[Seen, ...]
    behind: tuple[Behind, ...]
    edges: tuple[Edge, ...]
    build: Build | None

    @property
    def image(self) -> Entity | None:
        """The image that ran, if its digest is known."""
        found = (e.target for e in self.edges if e.relation == "instance_of" and e.holds)
        return next(found, None)

    @property
    def unproven(self) -> Unproven | None:
        """The image, if it is known and no provenance of it holds."""
        broken = self.edges[-1]
        if self.image is None or broken.relation != "built_by" or broken.holds:
            return None
        name = self.first.container.image if self.first.container else ""
        state = "invalid" if broken.evidence.get("attestations") else "missing"
        reason = str(broken.evidence["reason"])
        return Unproven(name, self.image.value, "provenance", state, reason)

    @property
    def alerts(self) -> tuple[str, ...]:
        """The ids of the alerts about the container, earliest first."""
        return tuple(dict.fromkeys(one.alert.id for one in self.group))


def begun(asked: Asked) -> list[Begun]:
    """Return how the chains of a scene's containers begin; what ran in none counts if nothing ran in one."""
    return [_begun(asked, group) for group in _by_container(asked.scene)]


def _begun(asked: Asked, group: Sequence[Seen]) -> Begun:
    scene = asked.scene
    told = [(one, found) for one in group if (found := scene.behind(one)) and found[0].text]
    first, behind = told[0] if told else (group[0], scene.behind(group[0])[:NEAR])
    behind = [one for one in behind if one.injected] or [one for one in behind if one.text] or behind
    edges, build = _edges(asked, first)
    return Begun(first, tuple(group), tuple(behind), tuple(edges), build)


def _by_container(scene: Scene) -> list[list[Seen]]:
    """Group what was seen by container; what ran in none counts only where nothing ran in one."""
    groups: dict[str, list[Seen]] = {}
    for one in scene.seen:
        groups.setdefault(one.container.id if one.container else "", []).append(one)
    bare = groups.pop("", [])
    return list(groups.values()) or ([bare] if bare else [])


def _edges(asked: Asked, first: Seen) -> tuple[list[Edge], Build | None]:
    """Go from a process to the commit its image was built from, as far as that holds."""
    edge = runs_in(first.entity, first.process, asked.scene.tree, asked.scene.containers)
    if edge is None or first.container is None:
        return [_no_container(first, asked.scene.containers)], None
    edges = [noted(edge, alert=first.alert.id, rule=first.alert.title), _image(first.container)]
    if edges[-1].strength is Strength.BROKEN:
        return edges, None
    build, found = of_image(asked, edges[-1].target)
    return [*edges, *labelled(asked, edges[-1].target), *found], build


def of_image(asked: Asked, image: Entity) -> tuple[Build | None, list[Edge]]:
    """Return the build that an image's attestations prove, and the edges to it and to its commit."""
    found = attest.of_image(asked.workspace, image.value)
    if found.build is not None:
        edges = code_edges.built(image, found.build, found.attestation)
        rest = [name for name in found.known if name != found.attestation]
        others = trace_code.builds(asked.workspace, image.value, rest)
        return found.build, trace_code.compared(edges, found.build, others)
    facts: dict[str, Json] = {"attestations": list(found.known)}
    return None, [
        code_edges.broken(image, "built_by", EntityKind.BUILD, "attestation", found.problem, **facts)
    ]


def labelled(asked: Asked, image: Entity) -> list[Edge]:
    """Return what an image's labels say of where it comes from, if its provenance says otherwise.

    The chain goes on by what is signed; that somebody says something else is told as a hop of its own.
    """
    found = []
    for one in attest_labels.of_image(asked.workspace, image.value):
        if one.state is not State.CONTRADICTS or one.fact not in _CLAIMS:
            continue
        relation, kind = _CLAIMS[one.fact]
        found.append(
            Edge(
                image, Entity(kind, one.said.value.strip() or UNKNOWN), relation, "oci_label",
                Strength.NAME_MATCH,
                {
                    "label": one.said.name, "place": one.said.place, "attested": one.attested,
                    "contradicts": (
                        f"the {one.said.place} {one.said.name} contradicts the provenance: {one.why}"
                    ),
                },
            )
        )  # fmt: skip
    return found


def _image(container: Container) -> Edge:
    if container.image_digest:
        return instance_of(container)
    return code_edges.broken(
        Entity(EntityKind.CONTAINER, container.id), "instance_of", EntityKind.IMAGE, "runtime_record",
        "the runtime did not say which image it runs", events=list(container.uids),
    )  # fmt: skip


def _no_container(first: Seen, containers: Sequence[Container]) -> Edge:
    known = "no container's first process is among its ancestors" if containers else "no container is known"
    return code_edges.broken(
        first.entity, "runs_in", EntityKind.CONTAINER, "process_tree",
        f"{known} on {first.process.host or '?'}",
        events=[link.uid for link in first.chain],
        chain=[f"{link.pid} {link.program}".strip() for link in first.chain],
    )  # fmt: skip
