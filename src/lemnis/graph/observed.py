"""What OCSF events say of processes, containers and requests, in the graph's own words.

Process starts are Process Activity (1007) with activity Launch; containers are the processes of it that name
their container and image, as runtimes report them; requests are HTTP Activity (4002).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.graph.process_tree import Container, Started
from lemnis.graph.requests import Request
from lemnis.store.columns import leaf

PROCESS_ACTIVITY, HTTP_ACTIVITY = 1007, 4002
_LAUNCH, _TERMINATE, _FAILURE = 1, 2, 2
_STARTED = (
    "metadata.uid", "time", "device.hostname", "process.pid", "process.parent_process.pid",
    "actor.process.pid", "process.file.path", "process.path", "process.cmd_line",
    "process.working_directory",
)  # fmt: skip
_CONTAINER = (
    "metadata.uid", "time", "activity_id", "device.hostname", "process.pid", "process.container.uid",
    "process.container.image.name", "process.container.image.uid", "process.container.name", "unmapped",
)  # fmt: skip
_MARKS = ("activity_id", "status_id", "process.container.uid", "process.path")
OF_PROCESSES = tuple(dict.fromkeys((*_STARTED, *_CONTAINER, *_MARKS)))
"""The attributes of Process Activity that are read."""
_WORKLOADS = (
    ("workload.name", "workload.namespace"), ("process.pod.workload", "process.pod.namespace"),
)  # fmt: skip
"""Where a record keeps the workload's name and namespace: a node agent's of containerd, Tetragon's."""
_REQUEST = (
    "metadata.uid", "time", "device.hostname", "src_endpoint.ip", "http_request.url.path",
    "http_request.url.query_string", "http_request.http_method",
)  # fmt: skip


def on_hosts(table: pa.Table, hosts: Collection[str]) -> pa.Table:
    """Return the rows of some hosts."""
    column = leaf(table, "device.hostname")
    if column is None:
        return table if "" in hosts else table.slice(0, 0)
    known = pc.is_in(column, pa.array(sorted(hosts), pa.string()))
    return table.filter(pc.or_(known, pc.is_null(column)) if "" in hosts else known)


def started(table: pa.Table) -> Iterator[Started]:
    """Yield the processes that a table of Process Activity says were started.

    What names its container and no program is the runtime's word of a container, not of a process.
    """
    marks = zip(*(_column(table, path) for path in _MARKS), strict=True)
    wanted = [
        activity == _LAUNCH and status != _FAILURE and (container is None or program is not None)
        for activity, status, container, program in marks
    ]
    for row in _rows(table.filter(pa.array(wanted, pa.bool_())), _STARTED):
        uid, at, host, pid, parent, acting, file, path, command, folder = row
        if pid is not None:
            yield Started(
                uid,
                host or "",
                pid,
                parent or acting or 0,
                at,
                file or path or "",
                command or "",
                folder or "",
            )


def containers(tables: Iterable[pa.Table]) -> list[Container]:
    """Return the containers whose processes the tables of Process Activity name, by their first event.

    One for each process that the runtime started in a container: its first, and those it was told to run.
    """
    found: dict[tuple[str, str, int], list[tuple[Any, ...]]] = {}
    for table in tables:
        named = [one is not None for one in _column(table, "process.container.uid")]
        for row in _rows(table.filter(pa.array(named, pa.bool_())), _CONTAINER):
            if row[4]:  # 0 is what runtimes say where nothing was started
                found.setdefault((row[3] or "", row[5], row[4]), []).append(row)
    made = [_container(key, sorted(rows, key=lambda row: (row[1], row[0]))) for key, rows in found.items()]
    return sorted(made, key=lambda one: (one.since, one.host, one.id, one.pid))


def requests(table: pa.Table) -> Iterator[Request]:
    """Yield the requests in a table of HTTP Activity."""
    for uid, at, host, client, path, query, verb in _rows(table, _REQUEST):
        if path:
            yield Request(uid, host or "", at, client or "", path, query or "", verb or "")


def _container(key: tuple[str, str, int], rows: list[tuple[Any, ...]]) -> Container:
    host, uid, pid = key
    ends = [row[1] for row in rows if row[2] == _TERMINATE]
    image = next((row[6] for row in rows if row[6]), "")
    digest = next((row[7] for row in rows if row[7]), "") or image.partition("@")[2]
    return Container(
        uids=tuple(row[0] for row in rows),
        host=host,
        id=uid,
        pid=pid,
        image=image,
        image_digest=digest,
        workload=next(filter(None, map(_workload, rows)), ""),
        since=rows[0][1],
        until=ends[-1] if ends else None,
    )


def _workload(row: tuple[Any, ...]) -> str:
    """Return the workload as node agents and sensors add it to a record, else the container's name."""
    kept = orjson.loads(row[9]) if row[9] else {}
    said = kept if isinstance(kept, dict) else {}
    for name, space in _WORKLOADS:
        if said.get(name) and said.get(space):
            return f"{said[space]}/{said[name]}"
    return str(said.get(_WORKLOADS[0][0]) or row[8] or "")


def _rows(table: pa.Table, paths: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    return zip(*(_column(table, path) for path in paths), strict=True)


def _column(table: pa.Table, path: str) -> list[Any]:
    column = leaf(table, path)
    return [None] * table.num_rows if column is None else column.to_pylist()
