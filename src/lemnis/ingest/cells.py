"""A batch's events by way of cells: what its lines give is resolved, completed and laid by compiled passes.

It says what ``mapping_events`` says, which it leaves to: lines that the passes do not know, groups of entries
that are no group of its plan, and the reasons against rows that the standard does not take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from lemnis.ingest import cells_kernel as kernel
from lemnis.ingest import laid, mapping_build, mapping_unmapped, objects_kernel
from lemnis.ingest.cells_outline import BITS, ENDS, LETTERS, WORDS, Outline, outlined
from lemnis.ingest.cells_plan import Group, Layout, Numbers, Ready
from lemnis.ingest.left import Left
from lemnis.ingest.mapping_batch import Batch, Part
from lemnis.ingest.mapping_columns import Chosen, Column, Laid, flat, offsets, scratch, text, there
from lemnis.ingest.mapping_events import Built, Reasons, timeless, unfit
from lemnis.ingest.mapping_plan import ORIGINAL_TIME
from lemnis.ocsf.validation import enumerated, problems

_AROUND = 8
_REMEMBERED = 256
"""So many outlines of a group's tables."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A table's columns as the passes want them: addresses of their bytes, places and bits, and the shifts.

    ``lists`` are those that hold lists, ``none`` those without any value; both have no bits (-1).
    """

    names: Sequence[str]
    held: Sequence[Column]
    data: Numbers
    places: Numbers
    bits: Numbers
    shifts: Numbers
    lists: frozenset[str]

    @classmethod
    def of(cls, table: pa.Table) -> Fields:
        """Look up where the columns of a table lie."""
        names, held, where, lists = table.column_names, [], [], []
        for name, chunked in zip(names, table.columns, strict=True):
            column = text(flat(chunked))
            held.append(column)
            if pa.types.is_list(column.type):
                lists.append(name)
                where.append((0, 0, -1, 0))
            elif column.null_count == len(column):
                where.append((0, 0, -1, 0))
            else:
                where.append(Laid.of(column))
        data, places, bits, shifts = np.array(where, np.int64).reshape(-1, 4).T.copy()
        return cls(names, held, data, places, bits, shifts, frozenset(lists))


class Cells:
    """The cells of a batch whose parts are of these groups, in order."""

    def __init__(  # noqa: PLR0917 - what a batch consists of
        self, layout: Layout, batch: Batch, groups: Sequence[tuple[Group, Sequence[Part]]], fields: Fields,
        chosen: Chosen, uids: Column,
    ) -> None:  # fmt: skip
        self._layout, self._batch, self._fields, self._order = layout, batch, fields, chosen.order
        self._words = (layout.texts, layout.sizes)
        self._held: list[Any] = [chosen.records, uids]
        self._groups, order = groups, chosen.order
        counts = [parts[-1].end - parts[0].start for _, parts in groups]
        sizes = [group.count * count for (group, _), count in zip(groups, counts, strict=True)]
        self._counts, self._bases = counts, np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        cells, width = int(self._bases[-1]), -(-max(1, len(fields.names)) // 8) * 8
        self.values: Numbers = scratch("values", cells, np.int64)
        self.sizes: npt.NDArray[np.int32] = scratch("sizes", cells, np.int32)
        self.rest: npt.NDArray[np.uint8] = scratch("rest", len(order) * width, np.uint8)
        self.rest = self.rest.reshape(len(order), width)
        self.sizes[:], self.rest[:] = -1, 0
        self.reasons: list[Reasons] = [{} for _ in groups]
        self._beside: list[dict[int, Column]] = [{} for _ in groups]
        self._resolve()
        self._place(chosen.records, uids)
        self._follow()

    def _resolve(self) -> None:
        """Work out what lines give."""
        layout, fields, order = self._layout, self._fields, self._order
        place = {name: number for number, name in enumerate(fields.names)}
        named = (place.get(name, -1) for name in layout.fields)
        lookup = np.fromiter(named, np.int64, len(layout.fields))
        if len(fields.bits):
            lookup[fields.bits[lookup] < 0] = -1
        kernel.left(fields.bits, fields.shifts, order, self.rest)
        jobs, whose = self._jobs()
        failed = np.zeros(len(jobs), np.uint8)
        kernel.resolve(
            jobs, layout.steps, lookup, fields.data, fields.places, fields.bits, fields.shifts, order,
            *self._words, layout.tables, layout.keys, layout.items, layout.tables, self.values, self.sizes,
            self.rest, failed,
        )  # fmt: skip
        self._rejected = {whose(job) for job in np.flatnonzero(failed).tolist()}

    def _jobs(self) -> tuple[Numbers, Any]:
        """Return the jobs of all parts, and what says of which part and path one is."""
        made, starts, parts = [], [0], []
        for number, (group, some) in enumerate(self._groups):
            count = self._counts[number]
            base = self._bases[number] - some[0].start
            for part in some:
                own = group.entries[part.plan.name].jobs
                jobs = np.empty((len(own), kernel.JOB), np.int64)
                jobs[:, kernel.START], jobs[:, kernel.END] = part.start, part.end
                jobs[:, kernel.BASE] = own[:, 0] * count + base
                jobs[:, kernel.FIRST :] = own[:, 1:]
                made.append(jobs)
                parts.append((part.start, group.entries[part.plan.name]))
                starts.append(starts[-1] + len(own))

        def whose(job: int) -> tuple[int, str]:
            place = int(np.searchsorted(starts, job, side="right")) - 1
            start, ready = parts[place]
            return start, ready.paths[job - starts[place]]

        return np.concatenate(made), whose

    def _place(self, records: Column, uids: Column) -> None:
        """Put into cells what Arrow works out, and what is of every event."""
        raw_at, raw_sizes = _at(records)
        raw_at, raw_sizes = raw_at[self._order], raw_sizes[self._order]
        uids_at, uids_sizes = _at(uids)
        for number, (group, parts) in enumerate(self._groups):
            first, last = parts[0].start, parts[-1].end
            for part in parts:
                self._slowly(number, group, part)
                if part.plan.raw:
                    cells = self._cells(number, group.slots["raw_data"], part)
                    self.values[cells] = raw_at[part.start : part.end]
                    self.sizes[cells] = raw_sizes[part.start : part.end]
            cells = self._all(number, group.slots["metadata.uid"])
            self.values[cells], self.sizes[cells] = uids_at[first:last], uids_sizes[first:last]
            for path, (node, paths) in group.beside.items():
                column = self._made(group, parts, path, paths)
                if column is not None:
                    self._beside[number][node.slot] = column
                    self.sizes[self._all(number, node.slot)] = np.where(there(column), 0, -1)
        unmapped = self._unmapped()
        if unmapped is not None:
            self._held.append(unmapped)
            at, sizes = _at(unmapped)
            for number, (group, parts) in enumerate(self._groups):
                cells = self._all(number, group.slots["unmapped"])
                first, last = parts[0].start, parts[-1].end
                self.values[cells], self.sizes[cells] = at[first:last], sizes[first:last]

    def _slowly(self, number: int, group: Group, part: Part) -> None:
        """Put into a part's cells what Arrow works out of them, and note what is wrong there."""
        batch, ready, reasons = self._batch, group.entries[part.plan.name], self.reasons[number]
        moments = batch.moments(part)
        if moments.found.null_count:
            timeless(part, moments.found, moments.texts, reasons)
        self._put(number, group.slots["time"], part, moments.found)
        said = batch.alone(part, ORIGINAL_TIME)
        self._put(number, group.slots[ORIGINAL_TIME], part, moments.first if said is None else said.array)
        slow = self._slow(ready, part)
        for path, given in part.given.items() if slow else ():
            if path not in slow:
                continue
            if path in group.slots and path != ORIGINAL_TIME:
                self._put(number, group.slots[path], part, batch.column(part, given))
            unfit(batch, part, path, given, reasons)
        if ready.doing or "activity_id" in slow:
            self._put(number, group.slots["activity_id"], part, batch.column(part, part.plan.doing))
            unfit(batch, part, "activity_id", part.plan.doing, reasons)
        if ready.level:
            self._put(number, group.slots["severity_id"], part, batch.level(part))
        for name, kept in self._keeping(ready, part, slow):
            column = batch.raw.get(name)
            maker = None if kept is None else part.given.get(kept)
            if column is None or name in self._fields.lists or (kept is not None and maker is None):
                continue
            same = batch.same(part, name, maker, column)
            self.rest[part.start : part.end, self._fields.names.index(name)] &= ~same

    def _slow(self, ready: Ready, part: Part) -> set[str]:
        """Return the paths of a part that Arrow must work out."""
        slow = set(ready.slow)
        if self._fields.lists:
            lists = self._fields.lists
            slow |= {
                path
                for path, names in zip(ready.paths, ready.fields, strict=True)
                if not lists.isdisjoint(names)
            }
        slow |= {path for start, path in self._rejected if start == part.start}
        return slow

    def _keeping(self, ready: Ready, part: Part, slow: set[str]) -> Iterator[tuple[str, str | None]]:
        """Yield the fields of a part, and the paths, where Arrow must say whether they are kept."""
        yield from ready.keeping
        more = slow - ready.slow
        if more:
            for name, paths in part.plan.kept.items():
                yield from ((name, path) for path in paths if path in more)

    def _cells(self, number: int, slot: int, part: Part) -> slice:
        count = self._counts[number]
        first = int(self._bases[number]) + slot * count + part.start - self._groups[number][1][0].start
        return slice(first, first + part.count)

    def _all(self, number: int, slot: int) -> slice:
        count = self._counts[number]
        first = int(self._bases[number]) + slot * count
        return slice(first, first + count)

    def _put(self, number: int, slot: int, part: Part, column: Column | None) -> None:
        """Have cells be what a column of texts or numbers is."""
        cells = self._cells(number, slot, part)
        if column is None:
            self.sizes[cells] = -1
        elif pa.types.is_string(column.type):
            self._held.append(column)
            self.values[cells], self.sizes[cells] = _at(column)
        else:
            whole = column.fill_null(0) if column.null_count else column
            self.values[cells] = whole.to_numpy(zero_copy_only=False)
            self.sizes[cells] = np.where(there(column), 0, -1) if column.null_count else 0

    def _made(self, group: Group, parts: Sequence[Part], path: str, paths: Sequence[str]) -> Column | None:
        """Return what Arrow makes of a group's paths at, or in, one place."""
        columns: dict[str, Column] = {}
        for one in paths:
            column = self._batch.values(parts, one) if any(one in part.given for part in parts) else None
            if column is not None:
                columns[one] = column
        if not columns:
            return None
        count = parts[-1].end - parts[0].start
        return mapping_build.part(group.kind.name, path.split("."), columns, count)

    def _unmapped(self) -> Column | None:
        """Write what no line keeps."""
        fields, count = self._fields, len(self._order)
        width = self.rest.shape[1]
        data, places, ordered = fields.data.copy(), fields.places.copy(), np.zeros(width, np.bool_)
        quoted = np.ones(width, np.bool_)
        more = []
        for place, name in enumerate(fields.names) if fields.lists else ():
            column = self._batch.raw.get(name) if name in fields.lists else None
            rest = None if column is None else self._batch.unkept(name, column)
            if rest is not None:
                more.append(mapping_unmapped.listed(column))
                data[place], places[place], *_ = Laid.of(more[-1])
                ordered[place], quoted[place] = True, False
                self.rest[:, place] = rest
        written = np.flatnonzero(self.rest.any(axis=0))
        if not len(written):
            return None
        keys = [np.frombuffer(orjson.dumps(name), np.uint8) for name in fields.names]
        key_at = np.array([key.ctypes.data for key in keys], np.int64)
        sizes = np.array([len(key) for key in keys], np.int64)
        named = int((self.rest.sum(axis=0)[: len(keys)] * (sizes + _AROUND)).sum())
        own = (fields.held[n] for n in written.tolist() if not ordered[n])
        taken = sum(int(offsets(column)[-1] - offsets(column)[0]) for column in own)
        taken += sum(int(offsets(column)[-1]) for column in more)
        return mapping_unmapped.written(
            lambda row, used, ends, out: objects_kernel.write_rest(
                data, places, self._order, ordered, self.rest, quoted, key_at, sizes, row, used, ends, out
            ),
            count,
            taken + named,
        )

    def _follow(self) -> None:
        """Complete the cells, and measure them."""
        layout = self._layout
        follows, starts = [], [0]
        for number, (group, _) in enumerate(self._groups):
            count, base = self._counts[number], self._bases[number]
            some = np.empty((len(group.follows), kernel.FOLLOWS), np.int64)
            some[:, :4] = group.follows
            for part in (kernel.WHOSE, kernel.OTHER):
                some[:, part] = some[:, part] * count + base
            ending = some[:, kernel.DO] == kernel.ENDING
            some[ending, kernel.NEEDS] = some[ending, kernel.NEEDS] * count + base
            some[:, kernel.ROWS] = count
            follows.append(some)
            starts.append(starts[-1] + len(some))
        odd = np.zeros(starts[-1], np.uint8)
        kernel.follow(
            np.concatenate(follows), *self._words, layout.keys, layout.items, layout.tables, self.values,
            self.sizes, odd,
        )  # fmt: skip
        self._odd = [bool(odd[starts[n] : starts[n + 1]].any()) for n in range(len(self._groups))]
        bases = np.concatenate(
            [
                self._bases[number] + np.arange(group.count) * self._counts[number]
                for number, (group, _) in enumerate(self._groups)
            ]
        )
        counts = np.repeat(np.array(self._counts), [group.count for group, _ in self._groups])
        self.has, self.takes = np.empty(len(bases), np.int64), np.empty(len(bases), np.int64)
        kernel.measure(bases, counts, self.sizes, self.has, self.takes)

    def tables(self) -> Iterator[Built]:
        """Yield each group's events, and why rows are none."""
        plans, slot = [], 0
        for number, (group, _) in enumerate(self._groups):
            has, takes = self.has[slot : slot + group.count], self.takes[slot : slot + group.count]
            plans.append(_Table.of(group, self._counts[number], has, takes, self._beside[number]))
            slot += group.count
        starts = np.concatenate(([0], np.cumsum([plan.size for plan in plans]))).astype(np.int64)
        body: Any = pa.allocate_buffer(int(starts[-1]))
        out = np.frombuffer(memoryview(body), np.uint8)
        columns = [plan.lay(out, int(starts[n]), int(self._bases[n])) for n, plan in enumerate(plans)]
        kernel.lay(
            np.concatenate(columns), self.values, self.sizes, out, out.view(np.int64), out.view(np.int32)
        )
        for number, plan in enumerate(plans):
            message = body.slice(int(starts[number]), plan.size)
            table = pa.Table.from_batches([pa.ipc.read_record_batch(message, plan.outline.schema)])
            yield self._checked(number, table, plan)

    def _checked(self, number: int, table: pa.Table, plan: _Table) -> Built:
        group, parts = self._groups[number]
        reasons, first, count = self.reasons[number], parts[0].start, self._counts[number]
        if self._odd[number] or plan.doubtful:
            for row, reason in problems(table, group.kind.name, nested=False).items():
                reasons.setdefault(first + row, reason)
        names = self._fields.names
        masks = np.array(self.rest[first : first + count, : len(names)].T, np.bool_)  # of scratch: a copy
        return Built.of(
            table, reasons, Left(self._batch.raw, dict(zip(names, masks, strict=True)), first, count)
        )


def _at(column: Column) -> tuple[Numbers, npt.NDArray[np.int32]]:
    """Return at which address each text of a column lies, and its size; -1 where there is none."""
    ends, data = offsets(column), column.buffers()[2]
    sizes = np.diff(ends)
    if column.null_count:
        sizes[~there(column)] = -1
    return ends[:-1] + np.int64(data.address if data is not None else 0), sizes


@dataclass(slots=True)
class _Table:
    """A table to be: what its class has in these rows, its nodes and buffers, and where each is to lie."""

    rows: int
    outline: Outline
    doubtful: bool
    nodes: Numbers
    buffers: Numbers
    copied: list[tuple[int, Any]]
    """Buffers of Arrow's, by the number that they have here."""
    size: int

    @classmethod
    def of(
        cls, group: Group, rows: int, has: Numbers, takes: Numbers, beside: Mapping[int, Column]
    ) -> _Table:
        """Plan a group's table: of its places those where some row has something."""
        whole = {slot: _alone(column) for slot, column in beside.items()}
        outline = _outline(group, has, whole)
        nodes = np.empty((len(outline.nodes), 2), np.int64)
        nodes[:, 0], nodes[:, 1] = rows, rows - has[outline.nodes]
        held, asked = has[outline.whose], outline.what
        sizes = np.select(
            [asked == BITS, asked == ENDS, asked == LETTERS, asked == WORDS],
            [np.where(held == rows, 0, (rows + 7) // 8), 4 * (rows + 1), takes[outline.whose], 8 * rows],
        )
        copied: list[tuple[int, Any]] = []
        for slot, node, first in outline.beside:
            own = np.array(list(_sizes(whole[slot])), np.int64)
            nodes[node : node + len(own)] = own
            for number, buffer in enumerate(whole[slot].buffers(), first):
                sizes[number] = 0 if buffer is None else buffer.size
                if sizes[number]:
                    copied.append((number, buffer))
        room = -(-sizes // laid.ALIGN) * laid.ALIGN
        buffers = np.stack([np.cumsum(room) - room, sizes], axis=1)
        doubtful = _doubtful(group, rows, has.tolist()) or not all(
            enumerated(group.at(slot).attribute, column) for slot, column in whole.items()
        )
        size = laid.size(len(nodes), len(sizes)) + int(room.sum())
        return cls(rows, outline, doubtful, nodes, buffers, copied, size)

    def lay(self, out: npt.NDArray[np.uint8], start: int, base: int) -> Numbers:
        """Write what is known already of a message that begins at ``start``; return what is to be laid."""
        ahead = laid.size(len(self.nodes), len(self.buffers))
        head = laid.head(self.rows, self.nodes, self.buffers, self.size - ahead)
        out[start : start + ahead] = np.frombuffer(head, np.uint8)
        places = self.buffers[:, 0] + (start + ahead)
        for number, buffer in self.copied:
            out[places[number] : places[number] + buffer.size] = np.frombuffer(buffer, np.uint8)
        slots, kinds, first = self.outline.laid.T
        columns = np.empty((len(slots), kernel.COLUMN), np.int64)
        columns[:, kernel.CELL] = slots * self.rows + base
        columns[:, kernel.COUNT], columns[:, kernel.KIND] = self.rows, kinds
        columns[:, kernel.BITS] = np.where(self.buffers[first, 1] > 0, places[first], 0)
        last = len(places) - 1
        second = places[np.minimum(first + 1, last)]
        columns[:, kernel.ENDS] = second
        columns[:, kernel.DATA] = np.where(kinds == kernel.TEXTS, places[np.minimum(first + 2, last)], second)
        return columns


def _outline(group: Group, has: Numbers, beside: Mapping[int, Column]) -> Outline:
    """Return what a table consists of, remembered by which places have something."""
    key = ((has > 0).tobytes(), *((slot, column.type) for slot, column in beside.items()))
    found = group.outlines.get(key)
    if found is None:
        if len(group.outlines) >= _REMEMBERED:
            group.outlines.clear()
        kinds = {slot: column.type for slot, column in beside.items()}
        found = group.outlines[key] = outlined(group, has > 0, kinds)
    return found


def _doubtful(group: Group, rows: int, has: Sequence[int]) -> bool:
    """Say whether some row may lack what the class itself requires."""
    shape = group.kind.shape
    full = {name: has[node.slot] for name, node in group.root.items() if has[node.slot]}
    one_of = [full[name] for name in shape.just_one if name in full]
    return (
        any(full.get(name, 0) < rows for name in group.required)
        or (bool(shape.at_least_one) and all(full.get(name, 0) < rows for name in shape.at_least_one))
        or (bool(shape.just_one) and one_of != [rows])
    )


def _alone(column: Column) -> Column:
    """Return a column without what lies before and behind it."""
    return pa.concat_arrays([column.slice(0, 0), column])


def _sizes(array: Any) -> Iterator[tuple[int, int]]:
    """Yield the length and the count of nulls of an array and of those in it."""
    yield len(array), array.null_count
    if pa.types.is_list(array.type):
        yield from _sizes(array.values)
    elif pa.types.is_struct(array.type):
        for number in range(array.type.num_fields):
            yield from _sizes(array.field(number))
