"""Packet captures (pcap, pcapng), dissected by tshark: what the protocols say, and the flows that carry it.

A packet that says something (a DNS message, a request, a handshake …) is a record, and so is each TCP and UDP
flow, after the packets. Fields of packets have tshark's names, those of flows begin with ``flow.``; a field
that a packet has several times is a list. A record's raw text is the JSON of its fields, and such texts, a
line each, are read as well.

Passwords are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest import mapping_unmapped
from lemnis.ingest.parsers import Options, Parsed, Start, _tshark, jsonl
from lemnis.ingest.parsers._flows import MOST, Flows
from lemnis.ingest.streams import BrokenStreamError, Head, Stream

pc: Any = _compute
TEXT = pa.string()
_NONE = pa.scalar(None, TEXT)
MAGIC = (
    b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a",
)  # fmt: skip
_BATCH = 20_000
_OUTER = (
    "frame.number", "frame.time_epoch", "frame.len", "eth.src", "eth.dst", "ip.src", "ip.dst", "ipv6.src",
    "ipv6.dst", "ip.proto", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport", "tcp.stream",
    "udp.stream", "tcp.flags",
)  # fmt: skip
_SAYING = (
    "dns.id", "dns.flags.response", "dns.flags.rcode", "dns.qry.name", "dns.qry.type", "dns.resp.name",
    "dns.resp.type", "dns.resp.ttl", "dns.a", "dns.aaaa", "dns.cname", "dns.txt", "dns.ns",
    "dns.mx.mail_exchange", "dns.ptr.domain_name", "dns.srv.target", "nbns.name", "http.request.method",
    "http.request.uri", "http.request.version", "http.host", "http.user_agent", "http.referer",
    "http.x_forwarded_for", "http.content_type", "http.content_length", "http.response.code",
    "http.response.phrase", "http.response_for.uri", "http2.headers.method", "http2.headers.path",
    "http2.headers.authority", "http2.headers.user_agent", "http2.headers.status", "tls.handshake.type",
    "tls.handshake.version", "tls.handshake.extensions_server_name", "tls.handshake.ciphersuite",
    "tls.handshake.ja3", "tls.handshake.ja3s", "tls.handshake.ja4", "tls.alert_message.desc",
    "x509af.serialNumber", "x509ce.dNSName", "ssh.protocol", "ssh.kex.hassh", "ssh.kex.hasshserver",
    "smb2.filename", "smb2.tree", "smb2.acct", "smb2.domain", "smb2.host", "smb.file", "smb.path",
    "ntlmssp.auth.username", "ntlmssp.auth.domain", "ntlmssp.auth.hostname", "kerberos.msg_type",
    "kerberos.CNameString", "kerberos.realm", "kerberos.SNameString", "kerberos.etype",
    "kerberos.error_code", "dcerpc.cn_bind_to_uuid", "dhcp.option.dhcp", "dhcp.hw.mac_addr",
    "dhcp.option.hostname", "dhcp.ip.your", "rdp.rt_cookie", "ftp.request.command", "ftp.response.code",
    "smtp.req.command", "smtp.response.code", "imf.subject", "imf.from", "imf.to", "ldap.baseObject",
    "icmp.type", "icmp.code", "icmpv6.type", "arp.opcode", "arp.src.proto_ipv4", "arp.dst.proto_ipv4",
    "arp.src.hw_mac",
)  # fmt: skip
_BESIDE = (
    "smb2.cmd", "smb2.nt_status", "smb2.flags.response", "smb.cmd", "dcerpc.pkt_type", "dcerpc.opnum",
)  # fmt: skip
"""Fields that a record has beside others, and that make none by themselves: there are too many of these."""
_FIELDS = (*_OUTER, *_SAYING, *_BESIDE)
_FIRST = frozenset(_OUTER)


def fits(head: bytes) -> bool:
    """Say whether a stream that begins so is a capture, or may be records of one."""
    return head.startswith(MAGIC) or jsonl.fits(head)


def lined(stream: Stream, options: Options) -> bool:
    """Say whether a stream has one record a line, rather than being a capture."""
    return not stream.head(4).startswith(MAGIC) and jsonl.lined(stream, options)


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the records of a capture, from its start; those of packets that are done are left out.

    One that still grows is read when it is whole. Raises BrokenStreamError where tshark cannot read it.
    """
    if not stream.head(4).startswith(MAGIC):
        yield from jsonl.parse(stream, options, start, whole=whole)
        return
    if isinstance(stream, Head) or not whole:
        return
    flows, problem, last = Flows(), None, start.position
    try:
        for names, lines in _gathered(stream):
            packets = _Packets(stream.name, names, lines)
            packets.count(flows)
            last = max(last, packets.last)
            yield packets.records(start.position)
            if len(flows) >= MOST:
                yield _flowing(flows, start.position, last)
    except BrokenStreamError as error:
        problem = error
    if len(flows):
        yield _flowing(flows, start.position, last)
    if problem is not None:
        raise problem


def _gathered(stream: Stream) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield tshark's lines in batches that are always the same."""
    held: list[str] = []
    names: tuple[str, ...] = ()
    problem = None
    try:
        for known, lines in _tshark.rows(stream, _FIELDS):
            names = known
            held += lines
            while len(held) >= _BATCH:
                yield names, held[:_BATCH]
                held = held[_BATCH:]
    except BrokenStreamError as error:
        problem = error
    if held:
        yield names, held
    if problem is not None:
        raise problem


class _Packets:
    """Some packets of a capture as columns of texts."""

    def __init__(self, name: str, names: Sequence[str], lines: list[str]) -> None:
        self._name = name
        parts = pc.split_pattern(pa.array(lines, TEXT), _tshark.SEPARATOR)
        good = pc.list_value_length(parts).to_numpy(zero_copy_only=False) == len(names)
        self._odd = [lines[row] for row in np.flatnonzero(~good)]
        values = parts.filter(pa.array(good)).flatten()
        self._rows = int(good.sum())
        places = np.arange(self._rows) * len(names)
        self._columns = {
            name: _single(name, pc.if_else(pc.equal(column, ""), _NONE, column))
            for place, name in enumerate(names)
            if (column := values.take(pa.array(places + place))) is not None
        }
        self._numbers = self._integers("frame.number")
        self.last = int(self._numbers.max(initial=0))

    def _get(self, *names: str) -> Any:
        """Return the first of some fields that is there, packet by packet."""
        found = [self._columns[name] for name in names if name in self._columns]
        return pc.coalesce(*found) if found else pa.nulls(self._rows, TEXT)

    def _integers(self, name: str) -> Any:
        return self._get(name).cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)

    def count(self, flows: Flows) -> None:
        """Add the packets to the flows that they are of."""
        keys = pc.coalesce(
            pc.binary_join_element_wise("tcp", self._get("tcp.stream"), ""),
            pc.binary_join_element_wise("udp", self._get("udp.stream"), ""),
        )
        ends = {
            "src": self._get("ip.src", "ipv6.src"), "src_port": self._get("tcp.srcport", "udp.srcport"),
            "dst": self._get("ip.dst", "ipv6.dst"), "dst_port": self._get("tcp.dstport", "udp.dstport"),
            "protocol": pc.utf8_slice_codeunits(keys, 0, 3),
        }  # fmt: skip
        time = self._get("frame.time_epoch").cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False)
        flags = [int(one, 16) if one else 0 for one in self._get("tcp.flags").to_pylist()]
        numbers = {
            "time": time, "bytes": self._integers("frame.len"), "flags": np.array(flags, np.int64),
            "frame": self._numbers,
        }  # fmt: skip
        flows.add(keys, ends, numbers)

    def records(self, after: int) -> Parsed:
        """Return those after a frame that say something."""
        says = np.zeros(self._rows, bool)
        for name in _SAYING:
            if name in self._columns:
                says |= self._columns[name].is_valid().to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(says & (self._numbers > after))
        taken = pa.array(rows)
        columns = {name: _several(name, column.take(taken)) for name, column in self._columns.items()}
        rejects = [
            Reject(Location(self._name), "tshark's line has another number of values", text.encode())
            for text in self._odd
        ]
        return _parsed(columns, pa.array(self._numbers[rows], pa.int64()), tuple(rejects), self.last)


def _single(name: str, column: Any) -> Any:
    """Keep the outermost of several headers: a tunnel's, not what it carries."""
    if name not in _FIRST:
        return column
    return pc.replace_substring_regex(column, f"(?s){_tshark.BETWEEN}.*", "")


def _several(name: str, column: Any) -> Any:
    """Return a column as lists if some packet has several values."""
    if name in _FIRST or not pc.any(pc.match_substring(column, _tshark.BETWEEN)).as_py():
        return column
    return pc.split_pattern(column, _tshark.BETWEEN)


def _flowing(flows: Flows, after: int, last: int) -> Parsed:
    columns = flows.table(after)
    return _parsed(columns, pa.array([last] * len(columns["flow.src"]), pa.int64()), (), last)


def _parsed(columns: dict[str, Any], numbers: Any, rejects: tuple[Reject, ...], last: int) -> Parsed:
    count = len(numbers)
    kept = {name: column for name, column in columns.items() if column.null_count < count}
    there = {
        name: (column, column.is_valid().to_numpy(zero_copy_only=False)) for name, column in kept.items()
    }
    records = mapping_unmapped.write(there, count)
    texts = pa.nulls(count, TEXT) if records is None else records
    fields = pa.table(kept) if kept else pa.table({"_": pa.nulls(count, TEXT)}).select([])
    return Parsed(texts, fields, numbers, rejects, last, 0)
