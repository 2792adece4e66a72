"""The debug log of the Windows DNS server: one packet a line, beneath a header that explains the columns.

Fields: time, thread, packet, protocol, direction (``Rcv``, ``Snd``), address, xid, response, opcode, flags,
flag_letters, rcode, type, name. A name's length bytes, written ``(3)www(7)example(3)com(0)``, become dots.
What is no packet (the header, notes, the lines of a packet's details) is no record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.compute as _compute

from lemnis.ingest.parsers import Options, Parsed, Start, pattern
from lemnis.ingest.streams import Stream

pc: Any = _compute
LINES = True
_TIME = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4} \d{1,2}[:.]\d{2}[:.]\d{2}(?: [AaPp][Mm])?"
_LINE = (
    rf"^(?P<time>{_TIME}) (?P<thread>[0-9A-Fa-f]+) PACKET +"
    r"(?P<packet>[0-9A-Fa-f]+) (?P<protocol>UDP|TCP) (?P<direction>Rcv|Snd) (?P<address>\S+) +"
    r"(?P<xid>[0-9A-Fa-f]{4}) (?P<response>[R ]) (?P<opcode>.) \[(?P<flags>[0-9A-Fa-f]{4}) +"
    r"(?P<flag_letters>[A-Z ]*?) +(?P<rcode>[A-Z]+)\] (?P<type>\S+) +(?P<name>\S+)"
)
_OTHER = rf"^(?:{_TIME} [0-9A-Fa-f]+ (?:[A-OQ-Za-z]|$)|[^0-9]|[0-9]{{1,3}}\)|$)"
_OPTIONS = {"line": _LINE, "skip": _OTHER}


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the packets of a log."""
    for parsed in pattern.parse(stream, _OPTIONS, start, whole=whole):
        fields = parsed.fields
        for name in ("name", "response", "flag_letters"):
            place = fields.column_names.index(name)
            column = pc.replace_substring_regex(fields.column(place), r"^\(\d+\)|\(0\)$", "")
            column = pc.replace_substring_regex(column, r"\(\d+\)", ".")
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.equal(column, ""), "." if name == "name" else None, column)
            fields = fields.set_column(place, name, column)
        yield Parsed(parsed.records, fields, parsed.positions, parsed.rejects, parsed.position, parsed.offset)
