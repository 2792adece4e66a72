"""What Spark's executors need to answer a question: content and question as one archive, known by its digest.

Within it::

    parcel.json           what is asked, by which Lemnis
    content/DIGEST/N/…    a library's roots: what ships with Lemnis, then the workspace's own content
    rules/N.yml           rules to use instead of the content's
    indicators.json       indicators to look for
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

import lemnis
from lemnis.app.retro_indicators import Indicator, Kind
from lemnis.app.retro_question import Rules
from lemnis.app.retro_sightings import Indicators
from lemnis.content.library import Library
from lemnis.contracts.errors import IntegrityError, Location
from lemnis.contracts.ids import Json, canonical, tree_digest
from lemnis.detect.rules import rule_files

NAME = "parcel.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Parcel:
    """Files by their names in the archive; equal ones are the same archive."""

    files: Mapping[str, bytes]

    @classmethod
    def of(cls, about: Mapping[str, Json], files: Mapping[str, bytes]) -> Parcel:
        """Put a question and its files together."""
        return cls({**files, NAME: canonical({**about, "lemnis": lemnis.__version__})})

    @property
    def name(self) -> str:
        """The archive's name, which says what it holds."""
        return f"lemnis-{tree_digest(self.files.items()).removeprefix('sha256:')[:16]}"

    def write(self, folder: Path) -> Path:
        """Write the archive below a folder; the same files give the same bytes."""
        path = folder / f"{self.name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted(self.files.items()):
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
        return path


def read(folder: Path) -> Mapping[str, Json]:
    """Return what an unpacked parcel asks."""
    found: Mapping[str, Json] = orjson.loads((folder / NAME).read_bytes())
    return found


def of_rules(question: Rules) -> Parcel:
    """Return the parcel of a question by rules."""
    digest = question.library.digest
    about: dict[str, Json] = {"ask": "rules", "content": digest, "own": question.paths is None}
    numbered = enumerate(rule_files(question.paths or ()))
    rules = {f"rules/{number:06}.yml": path.read_bytes() for number, path in numbered}
    return Parcel.of(about, {**content(question.library), **rules})


def of_indicators(question: Indicators) -> Parcel:
    """Return the parcel of a question by indicators."""
    about: dict[str, Json] = {
        "ask": "indicators", "content": question.content_digest, "alerts": question.alerting,
    }  # fmt: skip
    some = [[str(one.kind), one.value, one.label] for one in question.index.indicators]
    return Parcel.of(about, {"indicators.json": orjson.dumps(some)})


def of_backtest(old: Library, new: Library, names: Iterable[str], changed: Iterable[str]) -> Parcel:
    """Return the parcel of a comparison of two states of the content.

    ``names`` are the rules that run, of which ``changed`` are compared.
    """
    about: dict[str, Json] = {
        "ask": "backtest", "old": old.digest, "new": new.digest, "names": sorted(names),
        "changed": sorted(changed),
    }  # fmt: skip
    return Parcel.of(about, {**content(old), **content(new)})


def content(library: Library) -> dict[str, bytes]:
    """Return the files of a library, by their names in a parcel."""
    return {
        f"{_place(library.digest)}/{number}/{path.relative_to(root).as_posix()}": path.read_bytes()
        for number, root in enumerate(library.roots)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def library(folder: Path, digest: str) -> Library:
    """Open a library out of an unpacked parcel; raises IntegrityError if it is not what was packed."""
    roots = sorted((folder / _place(digest)).iterdir())
    opened = Library.open(roots[1] if len(roots) > 1 else None, builtin=roots[0])
    if opened.digest != digest:
        raise IntegrityError(
            "the content changed while it was packed", at=Location(str(folder)), fix="run it again"
        )
    return opened


def indicators(folder: Path) -> list[Indicator]:
    """Read the indicators out of an unpacked parcel."""
    some = orjson.loads((folder / "indicators.json").read_bytes())
    return [Indicator(Kind(kind), value, label) for kind, value, label in some]


def _place(digest: str) -> str:
    return f"content/{digest.removeprefix('sha256:')[:16]}"
