"""What a table of a class consists of where some of its places have something: fields, nodes and buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.ingest import cells_kernel as kernel
from lemnis.ocsf.schema import shape_of

if TYPE_CHECKING:
    from lemnis.ingest.cells_plan import Group, Node

NOTHING, BITS, ENDS, LETTERS, WORDS = range(5)
"""What a buffer holds: nothing or what Arrow made, which rows have a value, where texts end, texts, words."""
BESIDE = 4
"""The kind of a place whose column is made by Arrow; the others are those of the kernel."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A table's fields; of each node the slot whose cells it has; of each buffer what it holds, and whose.

    ``laid`` has the slots, kinds and first buffers of what the kernel lays; ``beside`` the slots, first nodes
    and first buffers of what Arrow made.
    """

    schema: pa.Schema
    nodes: npt.NDArray[np.int64]
    what: npt.NDArray[np.int64]
    whose: npt.NDArray[np.int64]
    laid: npt.NDArray[np.int64]
    beside: tuple[tuple[int, int, int], ...]


def outlined(group: Group, present: npt.NDArray[np.bool_], kinds: Mapping[int, pa.DataType]) -> Outline:
    """Outline a group's table; ``kinds`` are the types of what Arrow made, by slot."""
    maker = _Maker(present.tolist(), kinds, group.slots["class_uid"])
    fields = [made for name in group.kind.shape.attributes if (made := maker.add(group.root.get(name)))]
    what, whose = np.array(maker.buffers, np.int64).T.copy()
    return Outline(
        pa.schema(fields), np.array(maker.nodes, np.int64), what, whose, np.array(maker.laid, np.int64),
        tuple(maker.beside),
    )  # fmt: skip


class _Maker:
    """Gathers nodes and buffers, depth first; ``always`` is a slot that all rows have."""

    def __init__(self, present: list[bool], kinds: Mapping[int, pa.DataType], always: int) -> None:
        self.present, self.kinds, self.always = present, kinds, always
        self.nodes: list[int] = []
        self.buffers: list[tuple[int, int]] = []
        self.laid: list[tuple[int, int, int]] = []
        self.beside: list[tuple[int, int, int]] = []

    def add(self, node: Node | None) -> Any:
        """Add a node with what is in it, and return its field; None where no row has anything there."""
        if node is None or (node.kind != kernel.SINGLES and not self.present[node.slot]):
            return None
        if node.kind == BESIDE:
            return pa.field(node.attribute.name, self._beside(node.slot))
        slot = self.always if node.kind == kernel.SINGLES else node.slot
        self.laid.append((slot, node.kind, len(self.buffers)))
        self.nodes.append(slot)
        self.buffers.append((BITS, slot))
        kind: Any
        if node.kind == kernel.TEXTS:
            self.buffers += ((ENDS, slot), (LETTERS, slot))
            kind = pa.string()
        elif node.kind == kernel.NUMBERS:
            self.buffers.append((WORDS, slot))
            kind = pa.int64()
        elif node.kind == kernel.SINGLES:
            self.nodes.append(slot)
            self.buffers += ((ENDS, slot), (BITS, slot))
            kind = pa.list_(pa.struct([made for child in node.below.values() if (made := self.add(child))]))
        else:
            names = shape_of(node.attribute.object).attributes
            kind = pa.struct([made for name in names if (made := self.add(node.below.get(name)))])
        return pa.field(node.attribute.name, kind)

    def _beside(self, slot: int) -> pa.DataType:
        kind = self.kinds[slot]
        empty = pa.array([], kind)
        self.beside.append((slot, len(self.nodes), len(self.buffers)))
        self.nodes += [slot] * _count(kind)
        self.buffers += [(NOTHING, slot)] * len(empty.buffers())
        return kind


def _count(kind: Any) -> int:
    """Return how many nodes a type has."""
    if pa.types.is_list(kind):
        return 1 + _count(kind.value_type)
    return 1 + sum(_count(one.type) for one in kind) if pa.types.is_struct(kind) else 1
