"""Where the rules and the real events come from: a folder of data sets, unpacked into a scratch folder."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import zstandard

from bench._measure import ROOT

VARIABLE = "LEMNIS_BENCH_DATA"
RULES = ("rules", "rules-emerging-threats", "rules-threat-hunting")
_WINDOW = 1 << 27
_BLOCK = 1 << 20


class MissingError(Exception):
    """A data set that is not there."""


def folder() -> Path:
    """Return the folder of data sets: LEMNIS_BENCH_DATA, or ``shared/data`` beside the checkout."""
    return Path(os.environ.get(VARIABLE) or ROOT.parent / "shared" / "data")


def unpack(name: str, into: Path) -> Path:
    """Unpack a data set, such as ``windows/evtx-attack-samples``; raises MissingError."""
    base = folder() / name
    packed = next(
        (p for p in (base / f"{base.name}.tar.zst", base.with_suffix(".tar.zst")) if p.is_file()), None
    )
    if packed is None:
        raise MissingError(f"no data set {name}: set {VARIABLE}")
    target = into / base.name
    if not target.exists():
        with (
            packed.open("rb") as file,
            _reader(file) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            tar.extractall(target, filter="data")
    return target


def sigma(into: Path) -> Path:
    """Return the folder of SigmaHQ's rules, unpacked; raises MissingError."""
    return unpack("sigma-rules", into)


def windows_rules(into: Path) -> list[Path]:
    """Return the folders of rules for Windows, those that the design's trial took."""
    rules = sigma(into)
    return [rules / "rules" / "windows", rules / "rules-emerging-threats"]


def real_events(into: Path, *, part: float) -> tuple[Path, int]:
    """Write the real Windows events as JSON lines, each file's first ``part``; raises MissingError."""
    files = sorted((folder() / "windows" / "otrf-security-datasets").glob("*/*.json.zst"))
    if not files:
        raise MissingError(f"no data set windows/otrf-security-datasets: set {VARIABLE}")
    target, count = into / "otrf.jsonl", 0
    with target.open("wb") as out:
        for file in files:
            lines = [line for line in _lines(file) if len(line) > 2]  # noqa: PLR2004 - no object is shorter
            taken = lines[: max(1, round(len(lines) * part))]
            out.writelines(line if line.endswith(b"\n") else line + b"\n" for line in taken)
            count += len(taken)
    return target, count


def sample(events: Path, into: Path, count: int, total: int) -> Path:
    """Write about ``count`` of the ``total`` lines of a file, evenly spread."""
    target, step = into / f"{events.stem}-sample.jsonl", max(1, total // count)
    with events.open("rb") as lines, target.open("wb") as out:
        out.writelines(line for number, line in enumerate(lines) if number % step == 0)
    return target


def _reader(file: io.BufferedReader) -> zstandard.ZstdDecompressionReader:
    return zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(file)


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as packed, _reader(packed) as stream:
        yield from io.BufferedReader(stream, _BLOCK)
