"""The agent of a Linux host: blocks addresses, ends processes, hands over files. One file, Python alone.

It is copied to the host and started there for each request (``lemnis.respond.kinds_host``), as root::

    command="python3 /usr/local/lib/lemnis/host_agent.py --files /var/log",restrict ssh-ed25519 AAAA…

One JSON object comes on standard input, ``{"method", "path", "query", "body"}``; the answer goes to standard
output, ``{"status", "content_type", "body"}`` or ``base64`` for bytes. What it does:

* ``GET``, ``PUT``, ``DELETE /blocks/ADDRESS``: packets from and to an address are dropped by nftables, in a
  table of its own. The body of ``PUT`` is ``{"mark", "minutes"}``; after the minutes (0 is never) the kernel
  forgets the block by itself. The mark lies beside the address in the kernel.
* ``GET /processes/PID`` and ``GET``, ``DELETE /processes/PID/START``: a process, and its end by SIGKILL.
  START is field 22 of /proc/PID/stat; with the pid it names one process and no later one.
* ``GET /files?path=…``: size and SHA-256 of a file; ``GET /content?path=…``: its bytes. Only files within the
  folders that ``--files`` names.

nftables is spoken to by netlink (linux/netfilter/nf_tables.h), so that the host needs no ``nft``.
"""

from __future__ import annotations

import argparse
import base64
import errno
import hashlib
import ipaddress
import json
import os
import signal
import socket
import stat
import struct
import sys
from urllib.parse import parse_qs, unquote

TABLE = "lemnis"
LARGEST = 2_500_000
"""Bytes of a file that are handed over."""
_NETFILTER, _SUBSYSTEM = 12, 10
_REQUEST, _ACK, _EXCL, _CREATE, _APPEND = 1, 4, 0x200, 0x400, 0x800
_BEGIN, _END, _ERROR, _DONE = 16, 17, 2, 3
_NEW_TABLE, _GET_TABLE, _NEW_CHAIN, _NEW_RULE, _NEW_SET = 0, 1, 3, 6, 9
_NEW_ELEMENT, _GET_ELEMENT, _DELETE_ELEMENT = 12, 13, 14
_ELEMENT_KEY, _ELEMENT_TIMEOUT, _ELEMENT_USERDATA = 1, 4, 6
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
_TIMEOUT_SET = 0x10
_SOURCE, _TARGET = "source", "target"
_HOOKS = {"input": (1, _SOURCE), "output": (3, _TARGET), "forward": (2, _SOURCE), "forwarded": (2, _TARGET)}
_BEFORE_FILTER = -150
_FAMILIES = {4: (2, 7, {_SOURCE: 12, _TARGET: 16}), 6: (10, 8, {_SOURCE: 8, _TARGET: 24})}
"""By version: the family, nft's type of an address, and where a packet has its addresses."""
_LONGEST_MARK = 64
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Reply = tuple[int, "dict[str, object] | bytes"]


class WrongError(Exception):
    """What was asked is not done; the status says why."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


# Netlink.


def _attribute(kind: int, value: bytes | str) -> bytes:
    data = value.encode() + b"\0" if isinstance(value, str) else value
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def _nest(kind: int, *parts: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(parts))


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def _expression(name: str, *parts: bytes) -> bytes:
    return _nest(1, _attribute(1, name), _nest(2, *parts))


def _message(kind: int, flags: int, number: int, family: int, body: bytes) -> bytes:
    resource = _SUBSYSTEM if kind in {_BEGIN, _END} else 0
    head = struct.pack("=IHHII", 20 + len(body), kind, flags | _REQUEST, number, 0)
    return head + struct.pack(">BBH", family, 0, resource) + body


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 4:  # noqa: PLR2004 - the head of an attribute
        length, kind = struct.unpack_from("=HH", data)
        found[kind & _TYPE_MASK] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


class Netfilter:
    """nftables of this network namespace, by netlink."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._socket.bind((0, 0))
        self._socket.settimeout(5)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, kind: int, family: int, body: bytes) -> bytes | None:
        """Return the attributes of what is asked for, None if it is not there; raises OSError."""
        self._socket.send(_message(_SUBSYSTEM << 8 | kind, _ACK, 1, family, body))
        said: bytes | None = None
        while True:
            data = self._socket.recv(65536)
            while data:
                length, found, _, _, _ = struct.unpack_from("=IHHII", data)
                if found == _ERROR:
                    code = -struct.unpack_from("=i", data, 16)[0]
                    if code in {0, errno.ENOENT}:
                        return said if code == 0 else None
                    raise OSError(code, os.strerror(code))
                if found == _DONE:
                    return said
                said = data[20:length]
                data = data[(length + 3) & ~3 :]

    def change(self, *changes: tuple[int, int, int, bytes]) -> None:
        """Do changes (kind, flags, family, body), all or none; raises OSError for the first refused."""
        batch = [_message(_BEGIN, 0, 0, 0, b"")]
        batch += [
            _message(_SUBSYSTEM << 8 | kind, flags | _ACK, number, family, body)
            for number, (kind, flags, family, body) in enumerate(changes, 1)
        ]
        batch.append(_message(_END, 0, len(changes) + 1, 0, b""))
        self._socket.send(b"".join(batch))
        for _ in changes:
            data = self._socket.recv(65536)
            while data:
                length, found = struct.unpack_from("=IH", data)
                code = -struct.unpack_from("=i", data, 16)[0] if found == _ERROR else 0
                if code:
                    raise OSError(code, os.strerror(code))
                data = data[(length + 3) & ~3 :]


# Blocks.


def _table_of(version: int) -> list[tuple[int, int, int, bytes]]:
    """Return the changes that make the table: a set of addresses, and a rule that drops at each hook."""
    family, kind, places = _FAMILIES[version]
    size = 4 if version == 4 else 16  # noqa: PLR2004 - bytes of an address
    table = _attribute(1, TABLE)
    members = (
        table, _attribute(2, "blocked"), _number(3, _TIMEOUT_SET), _number(4, kind), _number(5, size),
        _number(10, 1),
    )  # fmt: skip
    made = [
        (_NEW_TABLE, _CREATE | _EXCL, family, table),
        (_NEW_SET, _CREATE | _EXCL, family, b"".join(members)),
    ]
    for name, (hook, end) in _HOOKS.items():
        at = _nest(4, _number(1, hook), _number(2, _BEFORE_FILTER))
        chain = table + _attribute(3, name) + at + _number(5, 1) + _attribute(7, "filter")
        load = _expression("payload", _number(1, 1), _number(2, 1), _number(3, places[end]), _number(4, size))
        look = _expression("lookup", _attribute(1, "blocked"), _number(2, 1))
        drop = _expression("immediate", _number(1, 0), _nest(2, _nest(2, _number(1, 0))))
        rule = table + _attribute(2, name) + _nest(4, load, look, drop)
        made += [
            (_NEW_CHAIN, _CREATE | _EXCL, family, chain), (_NEW_RULE, _CREATE | _APPEND, family, rule),
        ]  # fmt: skip
    return made


def _element(address: Address, *more: bytes) -> bytes:
    key = _nest(_ELEMENT_KEY, _attribute(1, address.packed))
    return _attribute(1, TABLE) + _attribute(2, "blocked") + _nest(3, _nest(1, key, *more))


def blocks(method: str, text: str, body: dict[str, object]) -> Reply:
    """Look at the block of an address, make one, or take it away."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise WrongError(422, f"{text!r} is no address") from error
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise WrongError(403, f"{address} is never blocked")
    kernel = Netfilter()
    try:
        return _block(kernel, method, address, body)
    except OSError as error:
        wrong = {
            errno.ENOENT: (404, f"{address} is not blocked"),
            errno.EEXIST: (409, f"{address} is blocked already"),
            errno.EPERM: (403, "the agent may not change nftables: it needs CAP_NET_ADMIN"),
        }
        if error.errno not in wrong:
            raise
        raise WrongError(*wrong[error.errno]) from error
    finally:
        kernel.close()


def _block(kernel: Netfilter, method: str, address: Address, body: dict[str, object]) -> Reply:
    family = _FAMILIES[address.version][0]
    if method == "GET":
        return _blocked(kernel, family, address)
    if method == "DELETE":
        kernel.change((_DELETE_ELEMENT, 0, family, _element(address)))
        return 200, {"address": str(address)}
    minutes, mark = body.get("minutes", 0), body.get("mark", "")
    if not isinstance(minutes, int) or not isinstance(mark, str) or minutes < 0 or len(mark) > _LONGEST_MARK:
        raise WrongError(422, "the body is no {mark, minutes}")
    if kernel.ask(_GET_TABLE, family, _attribute(1, TABLE)) is None:
        kernel.change(*_table_of(address.version))
    timeout = [_attribute(_ELEMENT_TIMEOUT, struct.pack(">Q", minutes * 60_000))] if minutes else []
    noted = _attribute(_ELEMENT_USERDATA, mark.encode()) if mark else b""
    kernel.change((_NEW_ELEMENT, _CREATE | _EXCL, family, _element(address, *timeout, noted)))
    return 201, {"address": str(address), "mark": mark}


def _blocked(kernel: Netfilter, family: int, address: Address) -> Reply:
    said = kernel.ask(_GET_ELEMENT, family, _element(address))
    if said is None:
        raise WrongError(404, f"{address} is not blocked")
    element = _attributes(_attributes(_attributes(said)[3])[1])
    mark = element.get(_ELEMENT_USERDATA, b"").decode("utf-8", "replace")
    return 200, {"address": str(address), "mark": mark, "expires": _ELEMENT_TIMEOUT in element}


# Processes.


def processes(method: str, parts: list[str]) -> Reply:
    """Look at a process, or end it."""
    if not all(part.isascii() and part.isdigit() for part in parts) or len(parts) > 2:  # noqa: PLR2004
        raise WrongError(422, "a process is PID or PID/START, both numbers")
    pid = int(parts[0])
    if len(parts) == 1 or method == "GET":
        if method != "GET":
            raise WrongError(405, "without its start a process is only looked at")
        found = _process(pid)
        if len(parts) > 1 and found["start"] != int(parts[1]):
            raise WrongError(404, f"process {pid} is another one by now")
        return 200, found
    if pid == 1 or pid in {os.getpid(), os.getppid()}:
        raise WrongError(403, f"process {pid} is never ended")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise WrongError(404, f"there is no process {pid}") from error
    try:  # the handle is of one process: if its start is right now, it is the one that the signal reaches
        if _process(pid)["start"] != int(parts[1]):
            raise WrongError(404, f"process {pid} is another one by now")
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except PermissionError as error:
        raise WrongError(403, f"the agent may not end process {pid}") from error
    finally:
        os.close(handle)
    return 202, {"pid": pid}


def _process(pid: int) -> dict[str, object]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            text = file.read()
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            command = file.read().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise WrongError(404, f"there is no process {pid}") from error
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    if fields[0] in {"Z", "X"}:
        raise WrongError(404, f"process {pid} has ended")
    return {
        "pid": pid, "start": int(fields[19]), "parent": int(fields[1]), "command": command or name,
        "exe": _program(pid),
    }  # fmt: skip


def _program(pid: int) -> str:
    """Return the file that a process runs; empty where the agent may not see it, or the kernel has none."""
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")  # noqa: PTH115 - as the rest here
    except OSError:
        return ""


# Files.


def files(path: str, allowed: list[str], *, whole: bool) -> Reply:
    """Describe a file, or hand it over."""
    real = os.path.realpath(path)
    if not any(os.path.commonpath([real, root]) == root for root in map(os.path.realpath, allowed)):
        raise WrongError(403, f"{path} is in none of the folders that --files names")
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise WrongError(404, f"there is no {path}") from error
    except OSError as error:
        raise WrongError(403, f"{path}: {error.strerror}") from error
    what = os.fstat(descriptor)
    if not stat.S_ISREG(what.st_mode):
        os.close(descriptor)
        raise WrongError(422, f"{path} is no plain file")
    with os.fdopen(descriptor, "rb") as file:
        if what.st_size > LARGEST:
            raise WrongError(413, f"{path} has {what.st_size:,} bytes; {LARGEST:,} are the most")
        data = file.read(LARGEST + 1)
    if whole:
        return 200, data
    digest = hashlib.sha256(data).hexdigest()
    return 200, {"path": real, "size": len(data), "sha256": digest, "modified": int(what.st_mtime)}


def answer(asked: dict[str, str], allowed: list[str]) -> Reply:
    """Do what is asked."""
    parts = [unquote(part) for part in asked["path"].split("/") if part]
    query = parse_qs(asked.get("query", ""))
    method, where = asked["method"], parts[0] if parts else ""
    if where == "blocks" and len(parts) == 2 and method in {"GET", "PUT", "DELETE"}:  # noqa: PLR2004
        body = json.loads(asked.get("body") or "{}")
        return blocks(method, parts[1], body if isinstance(body, dict) else {})
    if where == "processes" and len(parts) > 1 and method in {"GET", "DELETE"}:
        return processes(method, parts[1:])
    if where in {"files", "content"} and len(parts) == 1 and method == "GET" and "path" in query:
        return files(query["path"][-1], allowed, whole=where == "content")
    raise WrongError(404, f"the agent has no {method} {asked['path']}")


def main() -> None:
    """Answer one request."""
    parser = argparse.ArgumentParser(description="Answers one request of Lemnis, from standard input.")
    parser.add_argument("--files", action="append", default=[], help="a folder whose files may be read")
    allowed = parser.parse_args().files
    try:
        status, said = answer(json.load(sys.stdin), allowed)
    except WrongError as error:
        status, said = error.status, {"error": str(error)}
    except (ValueError, KeyError, TypeError) as error:
        status, said = 400, {"error": f"this is no request: {error}"}
    if isinstance(said, bytes):
        kind = "application/octet-stream"
        out = {"status": status, "content_type": kind, "base64": base64.b64encode(said).decode()}
    else:
        out = {"status": status, "content_type": "application/json", "body": json.dumps(said)}
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
