"""Places in a text as LSP counts them: from 0, in UTF-16 code units. Ours count from 1, in characters."""

from __future__ import annotations

from collections.abc import Sequence

from lsprotocol import types

from lemnis.contracts.findings import Edit, Finding


def of_finding(finding: Finding, lines: Sequence[str]) -> types.Range:
    """Return a finding's range; without columns, its lines without the spacing around them."""
    first = min(max(finding.line - 1, 0), max(len(lines) - 1, 0))
    last = min(max(finding.end_line - 1, first), max(len(lines) - 1, 0))
    start, end = _line(lines, first), _line(lines, last)
    begins = finding.column - 1 if finding.column else len(start) - len(start.lstrip())
    ends = finding.end_column - 1 if finding.end_column else len(end.rstrip())
    if first == last and ends <= begins:
        ends = len(end)
    return types.Range(types.Position(first, _units(start, begins)), types.Position(last, _units(end, ends)))


def of_edit(edit: Edit, lines: Sequence[str]) -> types.Range:
    """Return the range that an edit replaces."""
    return types.Range(
        _position(edit.line, edit.column, lines), _position(edit.end_line, edit.end_column, lines)
    )


def _position(line: int, column: int, lines: Sequence[str]) -> types.Position:
    place = max(line - 1, 0)
    return types.Position(place, _units(_line(lines, place), max(column - 1, 0)))


def _line(lines: Sequence[str], number: int) -> str:
    return lines[number] if number < len(lines) else ""


def _units(line: str, characters: int) -> int:
    return len(line[:characters].encode("utf-16-le", errors="surrogatepass")) // 2
