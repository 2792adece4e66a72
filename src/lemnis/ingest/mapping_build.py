"""Columns at OCSF paths → a table of nested structs of a class, with only what some row has a value for.

What the standard requires and nobody can know is filled in: a ``type_id`` and its like are 0 (Unknown), a
file's name is the end of its path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.ingest.mapping_columns import Column, Mask, make_lists, pc, there
from lemnis.ingest.mapping_values import convert
from lemnis.ocsf.schema import EACH, Attribute, Shape, event_class, shape_of, steps, type_of
from lemnis.store.columns import merge_types

OTHER = 99


@dataclass(slots=True)
class _Node:
    """A place in the event: a finished column, attributes below it, or the elements of a list."""

    column: Column | None = None
    attributes: dict[str, _Node] = field(default_factory=dict)
    elements: dict[int, _Node] = field(default_factory=dict)


def table(class_name: str, columns: Mapping[str, Column], count: int) -> pa.Table:
    """Build the table of a class out of columns by path."""
    root = _tree(class_name, columns)
    shape = event_class(class_name).shape
    arrays, fields = [], []
    for name, attribute in shape.attributes.items():
        node_of = root.attributes.get(name)
        made = None if node_of is None else _made(node_of, attribute, count)
        if made is not None:
            arrays.append(made)
            fields.append(pa.field(name, made.type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def part(class_name: str, path: Sequence[str], columns: Mapping[str, Column], count: int) -> Column | None:
    """Build what a class has at a path of attributes out of columns by path; None where that is nothing."""
    node, attribute = _tree(class_name, columns), None
    for step in steps(class_name, ".".join(path)):
        attribute, below = step.attribute, node.attributes.get(step.attribute.name)
        if below is None:
            return None
        node = below
    return None if attribute is None else _made(node, attribute, count)


def _tree(class_name: str, columns: Mapping[str, Column]) -> _Node:
    root = _Node()
    for path, column in columns.items():
        node = root
        for step in steps(class_name, path):
            node = node.attributes.setdefault(step.attribute.name, _Node())
            if step.element is not None:
                node = node.elements.setdefault(step.element, _Node())
        node.column = column
    return root


def _made(node: _Node, attribute: Attribute, count: int) -> Column | None:
    if node.elements:
        return _list(node, attribute, count)
    if node.column is not None:
        return None if node.column.null_count == count else node.column
    return _struct(node, shape_of(attribute.object), count)


def _struct(node: _Node, shape: Shape, count: int) -> Column | None:
    children: dict[str, Column] = {}
    for name, attribute in shape.attributes.items():
        child = node.attributes.get(name)
        made = None if child is None else _made(child, attribute, count)
        if made is not None:
            children[name] = made
    if not children:
        return None
    valid: Mask = np.logical_or.reduce([there(child) for child in children.values()])
    _complete(children, shape, valid)
    fields = [pa.field(name, children[name].type) for name in shape.attributes if name in children]
    ordered = [children[one.name] for one in fields]
    mask = None if valid.all() else pa.array(~valid)
    return pa.StructArray.from_arrays(ordered, fields=fields, mask=mask)


def _complete(children: dict[str, Column], shape: Shape, valid: Mask) -> None:
    for name, attribute in shape.attributes.items():
        if not attribute.required:
            continue
        column = children.get(name)
        if column is not None and column.null_count == 0:
            continue
        if attribute.enum:
            unknown: Any = pa.scalar(0 if 0 in attribute.enum else OTHER, type_of(attribute))
            filled = pa.repeat(unknown, len(valid)) if column is None else column.fill_null(unknown)
        elif name == "name" and "path" in children and "hashes" in shape.attributes:
            ends = convert(children["path"], "basename")
            filled = ends if column is None else pc.coalesce(column, ends)
        else:
            continue
        children[name] = filled if valid.all() else pc.if_else(pa.array(valid), filled, None)


def _list(node: _Node, attribute: Attribute, count: int) -> Column | None:
    """Make lists of the elements that are there, row by row, in their order."""
    kind = Attribute(attribute.name, attribute.type, attribute.object)
    if EACH in node.elements:
        return _each(node.elements[EACH], kind)
    made = [_made(node.elements[number], kind, count) for number in sorted(node.elements)]
    present = [one for one in made if one is not None]
    if not present:
        return None
    whole = _common(present)
    present_in = np.stack([there(one) for one in whole], axis=1)
    rows, which = np.nonzero(present_in)
    values = pa.concat_arrays(whole).take(pa.array(which * count + rows))
    counts = present_in.sum(axis=1)
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
    return make_lists(offsets, values, mask=pa.array(counts == 0))


def _each(node: _Node, kind: Attribute) -> Column | None:
    """Make lists of objects out of lists of their attributes, by position.

    A row has as many objects as the first attribute has values; one that has another number is left out.
    """
    held: list[tuple[_Node, Any]] = [(leaf, leaf.column) for leaf in _leaves(node)]
    lengths = [pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False) for _, lists in held]
    counts = lengths[0]
    for more in lengths[1:]:
        counts = np.where(counts > 0, counts, more)
    rows = np.repeat(np.arange(len(counts)), counts)
    inner = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    for (leaf, lists), own in zip(held, lengths, strict=True):
        places = (np.cumsum(own) - own)[rows] + inner
        leaf.column = lists.flatten().take(pa.array(places, mask=own[rows] != counts[rows]))
    made = _made(node, kind, len(rows))
    if made is None:
        return None
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
    return make_lists(offsets, made, mask=pa.array(counts == 0))


def _leaves(node: _Node) -> Iterator[_Node]:
    if node.column is not None:
        yield node
    for below in (*node.attributes.values(), *node.elements.values()):
        yield from _leaves(below)


def _common(arrays: list[Column]) -> list[Column]:
    """Bring structs to one type: the attributes of all of them."""
    if not pa.types.is_struct(arrays[0].type) or all(one.type.equals(arrays[0].type) for one in arrays):
        return arrays
    kind: Any = arrays[0].type
    for one in arrays[1:]:
        kind = merge_types(kind, one.type, "")
    return [_widened(one, kind) for one in arrays]


def _widened(array: Any, kind: Any) -> Column:
    parts = []
    for one in kind:
        place = array.type.get_field_index(one.name)
        if place < 0:
            parts.append(pa.nulls(len(array), one.type))
        else:
            child = array.field(place)
            parts.append(_widened(child, one.type) if pa.types.is_struct(one.type) else child)
    return pa.StructArray.from_arrays(parts, fields=list(kind), mask=array.is_null())
