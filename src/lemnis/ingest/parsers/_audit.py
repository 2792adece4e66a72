"""Linux audit records: one line to its type, time, serial and decoded fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from lemnis.ingest.parsers import _linux

_HEADER = re.compile(
    r"(?:^|\s)(?:node=(?P<node>\S+) )?type=(?P<type>\S+) (?:msg=)?audit\("
    r"(?P<time>\d+(?:\.\d+)?):(?P<serial>\d+)\): ?(?P<body>.*)$",
    re.DOTALL,
)
_FIELD = re.compile(r"""([A-Za-z_][\w.-]*(?:\[\d+\])?)=("[^"]*"|'[^']*'|\{[^}]*\}|[^\s,]*)""")
_AVC = re.compile(r"^avc:\s+(?P<seresult>\w+)\s+\{ (?P<seperms>[^}]*) \} for\s+")
_MESSAGE = re.compile(r"(?:^|\s)msg='(.*?)'?$", re.DOTALL)
_HEX = re.compile(r"^(?:[0-9A-F]{2})+$")
_SEPARATOR = "\x1d"
_KERNEL_TYPES = {
    "1300": "SYSCALL", "1302": "PATH", "1305": "CONFIG_CHANGE", "1306": "SOCKADDR", "1307": "CWD",
    "1309": "EXECVE", "1320": "EOE", "1325": "NETFILTER_CFG", "1326": "SECCOMP", "1327": "PROCTITLE",
    "1400": "AVC", "1700": "ANOM_PROMISCUOUS", "1701": "ANOM_ABEND", "1006": "LOGIN",
}  # fmt: skip
_ENCODED = frozenset({
    "name", "exe", "comm", "cwd", "cmd", "acct", "proctitle", "path", "dir", "data", "file", "key",
    "old-disk", "new-disk", "device", "vm", "grp", "cgroup", "ocomm", "watch", "root_dir",
    "pool", "ip", "img-ctx",
})  # fmt: skip
ABSENT = frozenset({"", "?", "(null)", "(none)"})
_ARGUMENT = re.compile(r"^a(\d+)(?:\[(\d+)\])?$")
Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """One audit record; ``fields`` in the order that it names them, decoded."""

    type: str
    node: str
    time: str
    serial: str
    fields: Fields
    arguments: tuple[str, ...] = ()


def read(line: str) -> Record | None:
    """Read one line, however it was carried; None if there is no audit record in it."""
    header = _HEADER.search(line)
    if header is None:
        return None
    kind = header["type"]
    known = re.fullmatch(r"UNKNOWN\[(\d+)\]", kind)
    kind = _KERNEL_TYPES.get(known[1] if known else kind, kind)
    body, _, enriched = header["body"].partition(_SEPARATOR)
    fields = _body(body, kind)
    if enriched:
        _collect(enriched, "", fields)
    arguments: tuple[str, ...] = ()
    if kind == "EXECVE":
        arguments = _arguments(fields)
        fields = {name: value for name, value in fields.items() if not _is_argument(name)}
        fields |= {f"a{number}": text for number, text in enumerate(arguments)}
    elif kind == "SOCKADDR":
        fields |= _address(fields.get("saddr", ""))
    elif "SYSCALL" not in fields:
        name = _linux.syscall(fields.get("arch", ""), fields.get("syscall", ""))
        if name is not None:
            fields["SYSCALL"] = name
    return Record(kind, header["node"] or "", header["time"], header["serial"], fields, arguments)


def _body(body: str, kind: str) -> Fields:
    """Read the fields of a record's body, those of a user program's message among them."""
    fields: Fields = {}
    if kind == "LOGIN":  # of old kernels: "old auid=… new auid=…"
        body = body.replace("old auid=", "old_auid=").replace("new auid=", "auid=")
    if avc := _AVC.match(body):
        fields |= {"seresult": avc["seresult"], "seperms": avc["seperms"].strip()}
        body = body[avc.end() :]
    inner = _MESSAGE.search(body)
    if inner is None:
        _collect(body, kind, fields)
        return fields
    _collect(body[: inner.start()], kind, fields)
    _collect(inner[1].removesuffix(")"), kind, fields)
    if not _FIELD.search(inner[1]):
        fields["msg"] = inner[1]
    return fields


def _is_argument(name: str) -> bool:
    return _ARGUMENT.match(name) is not None or name.endswith("_len")


def _collect(text: str, kind: str, fields: Fields) -> None:
    """Add the ``name=value`` pairs of a text; the first of a name holds."""
    for name, value in _FIELD.findall(text):
        plain = _decode(name, value, kind)
        if plain is not None:
            fields.setdefault(name, plain)


def _decode(name: str, value: str, kind: str) -> str | None:
    if value[:1] in {'"', "'"}:
        return value[1:-1] if value[-1] == value[0] and len(value) > 1 else value[1:]
    if value[:1] == "{":
        return value[1:-1].strip()
    if value in ABSENT:
        return None
    encoded = name in _ENCODED or (kind == "EXECVE" and _ARGUMENT.match(name) and "[" not in name)
    if encoded and _HEX.match(value):
        return _unhex(value, name)
    return value


def _unhex(value: str, name: str) -> str:
    text = bytes.fromhex(value).decode("utf-8", "backslashreplace")
    if name == "proctitle":
        return text.rstrip("\0").replace("\0", " ")
    return text.replace("\0", " ").strip() if name == "data" else text.rstrip("\0")


def _arguments(fields: Fields) -> tuple[str, ...]:
    """Put the arguments of a program together, those in pieces (``a1[0]``, ``a1[1]``) too."""
    found: dict[int, list[tuple[int, str]]] = {}
    for name, value in fields.items():
        if match := _ARGUMENT.match(name):
            found.setdefault(int(match[1]), []).append((int(match[2] or 0), value))
    arguments = []
    for number in sorted(found):
        pieces = [text for _, text in sorted(found[number])]
        whole = "".join(pieces)
        split = len(pieces) > 1 or f"a{number}[0]" in fields
        arguments.append(_unhex(whole, "") if split and _HEX.match(whole) else whole)
    return tuple(arguments)


def _address(saddr: str) -> Fields:
    """Decode a socket address as the kernel wrote it; one cut off or of another kind stays as it is."""
    try:
        raw = bytes.fromhex(saddr)
    except ValueError:
        return {}
    family = int.from_bytes(raw[:2], "little")
    port = str(int.from_bytes(raw[2:4], "big"))
    if family == 2 and len(raw) >= 8:  # noqa: PLR2004
        return {"saddr_family": "ipv4", "saddr_ip": str(ip_address(raw[4:8])), "saddr_port": port}
    if family == 10 and len(raw) >= 24:  # noqa: PLR2004
        address = ip_address(raw[8:24])
        mapped = getattr(address, "ipv4_mapped", None)
        return {"saddr_family": "ipv6", "saddr_ip": str(mapped or address), "saddr_port": port}
    if family == 1:
        path = raw[2:].split(b"\0")[0] or raw[3:].split(b"\0")[0]
        return {"saddr_family": "unix", "saddr_path": path.decode("utf-8", "backslashreplace")}
    return {"saddr_family": "netlink"} if family == 16 else {}  # noqa: PLR2004
