"""Raw input, read: files and folders in, batches of records with flat columns out, and rejects.

Hunting and ingesting read by the same functions. What cannot be read costs only itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import Location, NotFoundError
from lemnis.contracts.events import RawBatch, Reject
from lemnis.ingest import parsers
from lemnis.ingest.parsers import Parsed, Start
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import STDIN, BrokenStreamError, Stream, walk

LOG = logging.getLogger("lemnis.ingest")
AUTO = "auto"
_SHOWN = 300
_NOT_TEXT = re.compile(r"^not UTF-(?:8|16)(?: at byte \d+)?")
UNRECOGNISED = "no source recognises it; name one"
_PAPERS = frozenset({
    "authors", "changelog", "changes", "citation", "contributing", "copying", "licence", "license", "notice",
    "readme",
})  # fmt: skip
_PAPER_ENDS = frozenset({".adoc", ".docx", ".md", ".pdf", ".rst"})


def open_path(
    path: Path | Iterable[Path], sources: Sources, *, source: str = AUTO
) -> Iterator[RawBatch | Reject]:
    """Yield everything in files and folders: ``.gz`` and ``.zst`` unpacked, folders sorted, links left alone.

    Each file's source is recognised unless it is named. ``-`` is the standard input. Raises NotFoundError,
    before anything is read, for a path that is not there, and for a source that is not.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    named = None if source == AUTO else sources.get(source)
    for one in paths:
        if str(one) != STDIN and not one.exists():
            raise NotFoundError("no such file or folder", at=Location(str(one)))
    return _each(paths, sources, named)


def _each(paths: list[Path], sources: Sources, named: LoadedSource | None) -> Iterator[RawBatch | Reject]:
    for file in walk(paths):
        yield from open_stream(Stream(file), sources, named)


def open_stream(
    stream: Stream, sources: Sources, named: LoadedSource | None = None
) -> Iterator[RawBatch | Reject]:
    """Yield what is in one stream; an empty one has nothing."""
    try:
        for origin_source, parsed in read(stream, sources, named):
            yield from parsed.rejects
            if len(parsed.records):
                yield RawBatch(
                    origin_source.name, stream.name, parsed.records, parsed.fields, parsed.positions
                )
    except UnrecognisedError as error:
        yield Reject(Location(stream.name), str(error))


class UnrecognisedError(Exception):
    """A file that is of no source."""


def read(
    stream: Stream,
    sources: Sources,
    named: LoadedSource | None = None,
    start: Start | None = None,
    *,
    whole: bool = True,
) -> Iterator[tuple[LoadedSource, Parsed]]:
    """Yield the source and the records of one stream from ``start`` on.

    Raises UnrecognisedError where no source fits. A stream that breaks ends with a reject, and so does one on
    which the parser itself fails.
    """
    source = named or sources.recognise(stream)
    if source is None:
        reason = unreadable(stream)
        if reason == "":
            return
        raise UnrecognisedError(reason or UNRECOGNISED)
    parser = parsers.get(source.file.parser)
    stream.encoding = source.file.encoding
    done = start or Start()
    try:
        for parsed in parser.parse(stream, source.file.options, done, whole=whole):
            done = Start(parsed.position, parsed.offset)
            yield source, _told(parsed, stream.encoding)
    except BrokenStreamError as error:
        at = Location(stream.name, record=done.position + 1)
        yield source, parsers.nothing((Reject(at, str(error)),), done)
    except BaseException as error:
        if not defect(error):
            raise
        LOG.warning("the parser %s failed", source.file.parser, exc_info=True)
        at = Location(stream.name, record=done.position + 1)
        reason = f"a defect of the parser {source.file.parser}: {type(error).__name__}: {error}"
        yield source, parsers.nothing((Reject(at, reason[:_SHOWN]),), done)


def _told(parsed: Parsed, encoding: str) -> Parsed:
    """Have rejects say which encoding they are not in: bytes were turned into UTF-8 before they were read."""
    if not encoding or not parsed.rejects:
        return parsed
    rejects = [replace(one, reason=_NOT_TEXT.sub(f"not {encoding}", one.reason)) for one in parsed.rejects]
    return replace(parsed, rejects=tuple(rejects))


def defect(error: BaseException) -> bool:
    """Say whether an exception is one that nobody foresaw, rather than the end of the process.

    What panics in a library written in Rust is no ``Exception`` in Python.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def no_log(file: Path) -> bool:
    """Say by a file's name whether it lies beside logs and is none: a licence, a description. Pure."""
    return file.suffix.lower() in _PAPER_ENDS or file.name.partition(".")[0].lower() in _PAPERS


def unreadable(stream: Stream) -> str | None:
    """Return why a stream has no first bytes: "" if it is empty, None if it has some."""
    try:
        for block in stream.blocks(size=4096):
            if block.strip():
                return None
    except BrokenStreamError as error:
        return str(error)
    return ""
