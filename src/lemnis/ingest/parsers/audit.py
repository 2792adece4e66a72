"""Linux audit logs: the records of one event (same node, time and serial) make one raw record.

The records' fields keep their names; a field that several records have has several values, ``type`` names
all of them. Added are what Sigma calls things: Image, CommandLine (arguments quoted as a shell would),
ParentImage, ParentCommandLine (from the earlier records of the parent's pid), ProcessId, ParentProcessId,
User, CurrentDirectory, TargetFilename, DestinationIp, DestinationPort, SourceIp, SourcePort.

An event is whole when its PROCTITLE or EOE is there, when its type comes alone, or when a later event is two
seconds younger. Parents are looked up among all earlier records, so a log is always read from its start.
"""

from __future__ import annotations

import posixpath
import shlex
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.parsers._audit import Record, read
from lemnis.ingest.parsers._columns import Row, table
from lemnis.ingest.streams import KEPT_RAW, Stream

_KEPT_OPEN_S = 2.0
_MAX_OPEN = 4096
_MAX_PROCESSES = 200_000
_MAX_RECORDS = 4096
_ALONE = (
    "USER", "CRED_", "SERVICE_", "SYSTEM_", "DAEMON_", "ADD_", "DEL_", "GRP_", "ACCT_", "CRYPTO_", "VIRT_",
    "RESP_", "USYS_", "ROLE_", "CHGRP_", "CHUSER_", "LABEL_", "SOFTWARE_", "ANOM_LOGIN_",
)  # fmt: skip
_LAST = frozenset({"PROCTITLE", "EOE"})
_EXEC = frozenset({"execve", "execveat"})
_FORK = frozenset({"clone", "clone3", "fork", "vfork"})
_OUTWARD = frozenset({"connect", "sendto", "sendmsg"})
_UNSET = "4294967295"
_SPLIT_KEYS = "\x01"


@dataclass(frozen=True, slots=True)
class Process:
    """What is known of a process."""

    image: str = ""
    command: str = ""


@dataclass(slots=True)
class Event:
    """The records of one event as far as they came, and the number of the first line."""

    first: int
    records: list[Record] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


_Key = tuple[str, str, str]


@dataclass(slots=True)
class State:
    """Events that are not whole yet, and the processes that were seen, by node and pid."""

    open: OrderedDict[_Key, Event] = field(default_factory=OrderedDict)
    processes: OrderedDict[tuple[str, str], Process] = field(default_factory=OrderedDict)

    def add(self, record: Record, text: str, number: int) -> Iterator[Event]:
        """Take one record; yield the events that are whole now."""
        now = float(record.time)
        while self.open:
            key, oldest = next(iter(self.open.items()))
            if now - float(key[1]) <= _KEPT_OPEN_S and len(self.open) < _MAX_OPEN:
                break
            del self.open[key]
            yield oldest
        key = (record.node, record.time, record.serial)
        event = self.open.get(key)
        if event is None:
            event = self.open[key] = Event(number)
        event.texts.append(text)
        if record.type != "EOE":
            event.records.append(record)
        alone = len(event.records) == 1 and record.type.startswith(_ALONE)
        if record.type in _LAST or alone or len(event.records) >= _MAX_RECORDS:
            del self.open[key]
            if event.records:
                yield event

    def rest(self) -> Iterator[Event]:
        """Yield what is not whole and will not be any more."""
        while self.open:
            _, event = self.open.popitem(last=False)
            if event.records:
                yield event

    def see(self, node: str, pid: str, process: Process) -> None:
        """Remember a process; what is not known of it now stays as it was known before."""
        key = (node, pid)
        known = self.processes.pop(key, Process())
        self.processes[key] = Process(process.image or known.image, process.command or known.command)
        if len(self.processes) > _MAX_PROCESSES:
            self.processes.popitem(last=False)


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the events of an audit log; it is read from its start, those done before ``start`` left out."""
    state, position, offset = State(), 0, 0
    for batch in lines(stream, whole=whole):
        events, rejects = _events(batch, state, stream.name, start)
        if events or rejects:
            yield _parsed(events, rejects, batch.position, batch.offset)
        position, offset = batch.position, batch.offset
    if whole and (left := [(event, row_of(event, state)) for event in state.rest()]):
        yield _parsed(left, [], position, offset)


_Made = tuple[Event, Row]


def _events(batch: Lines, state: State, name: str, start: Start) -> tuple[list[_Made], list[Reject]]:
    """Return the events that are whole with these lines, and the lines that are no audit records."""
    rejects = [reject for reject in batch.rejects if (reject.at.record or 0) > start.position]
    made: list[_Made] = []
    texts: list[str] = batch.texts.to_pylist()  # type: ignore[assignment]
    for text, number in zip(texts, batch.numbers.tolist(), strict=True):
        record = read(text)
        new = number > start.position
        if record is None:
            if new:
                at = Location(name, record=number)
                rejects.append(Reject(at, "not an audit record", text.encode()[:KEPT_RAW]))
            continue
        for event in state.add(record, text, number):
            row = row_of(event, state)
            if new:
                made.append((event, row))
    return made, rejects


def _parsed(made: list[_Made], rejects: list[Reject], position: int, offset: int) -> Parsed:
    records = pa.array(["\n".join(event.texts) for event, _ in made], pa.string())
    positions = pa.array([event.first for event, _ in made], pa.int64())
    return Parsed(records, table([row for _, row in made]), positions, tuple(rejects), position, offset)


def row_of(event: Event, state: State) -> Row:
    """Make one event's fields, and remember what it says of its process."""
    head = event.records[0]
    row: Row = {"time": head.time, "serial": head.serial}
    if head.node:
        row["node"] = head.node
    _merge(event.records, row)
    by_type: dict[str, Record] = {}
    for record in event.records:
        by_type.setdefault(record.type, record)
    main = by_type.get("SYSCALL", head).fields
    if "key" in row:
        row["key"] = [key for key in str(main.get("key", "")).split(_SPLIT_KEYS) if key] or row["key"]
    _process(row, main, by_type, head.node, state)
    _address(row, main, by_type)
    _file(row, main, event.records)
    return row


def _merge(records: list[Record], row: Row) -> None:
    """Put the records' fields together; different values of one field are several values."""
    types = list(dict.fromkeys(record.type for record in records))
    row["type"] = types if len(types) > 1 else types[0]
    for record in records:
        for name, value in record.fields.items():
            known = row.get(name)
            if known is None:
                row[name] = value
            elif isinstance(known, list):
                if value not in known:
                    known.append(value)
            elif known != value:
                row[name] = [known, value]


def _process(row: Row, main: dict[str, str], by_type: dict[str, Record], node: str, state: State) -> None:
    pid, parent, image = main.get("pid"), main.get("ppid"), main.get("exe", "")
    call = main.get("SYSCALL", "")
    arguments = by_type["EXECVE"].arguments if "EXECVE" in by_type else ()
    title = by_type["PROCTITLE"].fields.get("proctitle", "") if "PROCTITLE" in by_type else ""
    command = shlex.join(arguments) if arguments else main.get("cmd", "")
    if pid is None:
        return
    row["ProcessId"] = pid
    if image:
        row["Image"] = image
    before = state.processes.get((node, pid), Process())
    row["CommandLine"] = command or before.command or title or None
    row["CurrentDirectory"] = by_type["CWD"].fields.get("cwd") if "CWD" in by_type else main.get("cwd")
    uid = main.get("euid") or main.get("uid")
    row["User"] = main.get("EUID") or main.get("UID") or ("root" if uid == "0" else uid)
    login = main.get("auid")
    row["LoginUser"] = None if login in {None, _UNSET} else main.get("AUID") or login
    if parent is not None:
        row["ParentProcessId"] = parent
        above = state.processes.get((node, parent), Process())
        row["ParentImage"], row["ParentCommandLine"] = above.image or None, above.command or None
    if "SYSCALL" not in by_type:
        return
    if call in _EXEC:
        if main.get("success") == "yes":
            state.see(node, pid, Process(image, command or title))
        return
    state.see(node, pid, Process(image, "" if before.command else title))
    child = main.get("exit", "")
    if call in _FORK and child.isdigit() and child != "0":
        state.processes.pop((node, child), None)
        state.see(node, child, state.processes[node, pid])


def _address(row: Row, main: dict[str, str], by_type: dict[str, Record]) -> None:
    if "SOCKADDR" not in by_type:
        return
    found = by_type["SOCKADDR"].fields
    address, port = found.get("saddr_ip"), found.get("saddr_port")
    if address is None:
        return
    side = "Destination" if main.get("SYSCALL") in _OUTWARD else "Source"
    row[f"{side}Ip"], row[f"{side}Port"] = address, port
    if side == "Destination":
        row["Initiated"] = "true"


def _file(row: Row, main: dict[str, str], records: list[Record]) -> None:
    """Name the file that a call is about: the last path that is no directory above one."""
    if main.get("SYSCALL") in _EXEC:
        return
    folder = next((r.fields["cwd"] for r in records if r.type == "CWD" and "cwd" in r.fields), "/")
    paths = [r.fields for r in records if r.type == "PATH" and r.fields.get("nametype") != "PARENT"]
    names = [fields["name"] for fields in paths if "name" in fields]
    if names:
        row["TargetFilename"] = posixpath.normpath(posixpath.join(folder, names[-1]))
