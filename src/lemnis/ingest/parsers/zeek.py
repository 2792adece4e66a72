"""Zeek's logs, tab-separated or JSON, whatever carried them: a field has one name, a record says its log.

``_path`` is the log's name (conn, dns, …): of the header or the record, else of the file, else of the fields
that only one log has. ``id_orig_h`` and its like are named ``id.orig_h``, as Zeek and Sigma do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.ingest.flatten import coalesce
from lemnis.ingest.parsers import Options, Parsed, Start, _zeek_tsv, jsonl
from lemnis.ingest.streams import Stream

pc: Any = _compute
TEXT = pa.string()
PATH = "_path"
_OTHER_PATHS = ("@stream", "log_type")
_FLAT = re.compile(r"^(id)_((?:orig|resp)_[hp])$|^(certificate|basic_constraints|san|times)_([a-z_]+)$")
LOGS = frozenset({
    "analyzer", "capture_loss", "conn", "dce_rpc", "dhcp", "dnp3", "dns", "dpd", "files", "ftp", "http",
    "intel", "irc", "kerberos", "known_certs", "known_hosts", "known_services", "ldap", "ldap_search",
    "loaded_scripts", "modbus", "mqtt_connect", "mqtt_publish", "mqtt_subscribe", "mysql", "netcontrol",
    "notice", "notice_alarm", "ntlm", "ntp", "ocsp", "openflow", "packet_filter", "pe", "postgresql",
    "quic", "radius", "rdp", "redis", "reporter", "rfb", "signatures", "sip", "smb_cmd", "smb_files",
    "smb_mapping", "smtp", "snmp", "socks", "software", "ssh", "ssl", "stats", "syslog", "tunnel",
    "websocket", "weird", "x509",
})  # fmt: skip
_SIGNS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "conn": ("conn_state",), "dns": ("trans_id", "query"), "http": ("trans_depth",),
    "ssl": ("ssl_history",), "files": ("seen_bytes",), "x509": ("certificate.serial",),
    "notice": ("note", "actions"), "intel": ("seen.indicator",), "weird": ("notice", "peer", "name"),
    "dce_rpc": ("endpoint", "operation"), "kerberos": ("request_type", "cipher"),
    "smb_files": ("action", "path"),
    "smb_mapping": ("share_type",), "ssh": ("hassh",), "rdp": ("security_protocol",), "ftp": ("reply_code",),
    "smtp": ("helo",), "dhcp": ("msg_types",), "software": ("software_type",), "pe": ("compile_ts",),
})  # fmt: skip


def fits(head: bytes) -> bool:
    """Say whether a stream that begins so can be a log of Zeek."""
    return _zeek_tsv.fits(head) or jsonl.fits(head)


def lined(stream: Stream, options: Options) -> bool:
    """Say whether a stream has one JSON object a line, rather than rows under a header."""
    return not _zeek_tsv.fits(stream.head(16)) and jsonl.lined(stream, options)


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the records of a log."""
    tabbed = _zeek_tsv.fits(stream.head(16))
    found = (_zeek_tsv if tabbed else jsonl).parse(stream, options, start, whole=whole)
    by_name = _of_name(stream.name)
    for parsed in found:
        table = _named(parsed.fields, by_name)
        yield Parsed(parsed.records, table, parsed.positions, parsed.rejects, parsed.position, parsed.offset)


def _of_name(name: str) -> str | None:
    """Return the log that a file's name tells: ``dns.log``, ``conn.2026-11-24-12.log.gz``, ``http.json``."""
    stem = re.split(r"[.\d]", PurePath(name).name, maxsplit=1)[0].rstrip("_-")
    return stem if stem in LOGS else None


def _named(fields: pa.Table, by_name: str | None) -> pa.Table:
    columns: dict[str, Any] = {}
    for name in fields.column_names:
        plain, column = _plain(name), fields.column(name).combine_chunks()
        columns[plain] = coalesce(columns[plain], column) if plain in columns else column
    if not columns:
        return fields
    path = columns.pop(PATH, None)
    for other in _OTHER_PATHS:
        if path is None or path.null_count:
            found = columns.pop(other, None)
            path = found if path is None else path if found is None else coalesce(path, found)
    if path is None or path.null_count:
        path = _guessed(columns, fields.num_rows, path, by_name)
    if path.null_count < len(path):
        columns[PATH] = path
    return pa.table(columns)


def _plain(name: str) -> str:
    found = _FLAT.match(name)
    if found is None:
        return name
    return f"{found[1]}.{found[2]}" if found[1] else f"{found[3]}.{found[4]}"


def _guessed(columns: Mapping[str, Any], count: int, path: Any, by_name: str | None) -> Any:
    """Return the log of each row that does not say it: that of the file's name, else by its fields."""
    path = pa.nulls(count, TEXT) if path is None else path
    if by_name is not None:
        return path.fill_null(by_name)
    for log, signs in _SIGNS.items():
        if all(sign in columns for sign in signs):
            there = pc.is_valid(columns[signs[0]])
            for sign in signs[1:]:
                there = pc.and_(there, pc.is_valid(columns[sign]))
            path = pc.if_else(pc.and_(pc.is_null(path), there), log, path)
    return path
