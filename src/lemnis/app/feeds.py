"""Feeds: advisories (OSV), what is exploited (CISA KEV), and how likely it is (EPSS), kept as signed data.

They lie in the workspace's state, or in the folder that LEMNIS_FEEDS names, so that many share them. What is
there is checked against its signed manifest whenever it is used.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson

from lemnis import app
from lemnis.app import feeds_bundle, feeds_download, feeds_sources
from lemnis.app.feeds_bundle import Manifest
from lemnis.contracts.clock import span, to_iso
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import (
    ContentError,
    InputError,
    IntegrityError,
    LemnisError,
    Location,
    NotFoundError,
    RecordError,
    RefusedError,
    UsageError,
)
from lemnis.scan.advisories import Advisory
from lemnis.store import durable

FEEDS: Final = ("osv", "kev", "epss")
VARIABLE: Final = "LEMNIS_FEEDS"
ABSENT: Final = "not there"
"""The problem of a feed that was never pulled."""
ONLINE: Final = {
    "osv": "https://storage.googleapis.com/osv-vulnerabilities/all.zip",
    "kev": "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
    "epss": "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
}
OLD: Final = {"osv": 14, "kev": 14, "epss": 14}
"""Days after which a feed's data are called old."""
_DAY: Final = 86_400_000
_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as it lies there: its data and manifest, or what is wrong."""

    name: str
    path: Path
    manifest: Manifest | None = None
    problem: str = ""

    def age(self, now: int) -> int | None:
        """Return the age of the data in ms; None where it is not told."""
        until = self.manifest.until if self.manifest else None
        return None if until is None else max(0, now - until)

    def told(self, now: int) -> str:
        """Return in words what is there, and how old it is."""
        if self.manifest is None:
            return self.problem
        count = sum(self.manifest.entries.values())
        age = self.age(now)
        old = "of unknown age" if age is None else f"as of {to_iso(now - age)[:10]}, {span(age)} old"
        return f"{counted(count, 'entry')}, {old}"

    def old(self, now: int) -> bool:
        """Say whether the data are too old to go by, or of unknown age."""
        age = self.age(now)
        return age is None or age > OLD[self.name] * _DAY


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did: the feed as it is now, and what was left out (the first of it, and how much).

    ``unchanged`` says that its publisher has nothing newer than what was here.
    """

    feed: Feed
    errors: tuple[RecordError, ...]
    rejected: int
    unchanged: bool = False


def folder(workspace: app.Workspace | None) -> Path:
    """Return where feeds lie; raises UsageError where neither a workspace nor LEMNIS_FEEDS says so."""
    found = place(workspace)
    if found is None:
        raise UsageError("no workspace here to keep data in", fix=f"`lemnis init DIR`, or set {VARIABLE}")
    return found


def place(workspace: app.Workspace | None) -> Path | None:
    """Return where feeds lie; None where nothing says so."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    return workspace.state / "feeds" if workspace else None


def known(root: Path) -> list[Feed]:
    """Return all feeds as they lie there, each checked against its manifest."""
    return [one(root, name) for name in FEEDS]


def one(root: Path, name: str) -> Feed:
    """Return a feed as it lies there, checked against its manifest."""
    path, envelope = root / f"{name}.db", root / f"{name}.{feeds_bundle.MANIFEST}"
    feed = Feed(name, path)
    if not path.is_file() or not envelope.is_file():
        return replace(feed, problem=ABSENT)
    try:
        manifest = feeds_bundle.unseal(
            envelope.read_bytes(), feeds_bundle.trusted(root / "keys"), str(envelope)
        )
        if manifest.feed != name or manifest.digest != feeds_bundle.digest(path):
            raise IntegrityError("the data are not those that were signed", at=Location(str(path)))
    except LemnisError as error:
        return replace(feed, problem=str(error))
    return replace(feed, manifest=manifest)


def pull(
    root: Path, name: str, sources: Sequence[str], *, now: int, key: Path | None = None,
    until: int | None = None, older: bool = False,
) -> Pulled:  # fmt: skip
    """Bring a feed's data in, in place of what is there, from folders, files, zips, addresses or a bundle.

    ``key`` is the public key of a bundle's maker, ``until`` (ms) the day of data that do not say it
    themselves. Raises UsageError for no such feed, InputError where nothing can be read, IntegrityError for
    a bundle that is not signed by its key, RefusedError for data older than those here unless ``older``.
    """
    if name not in FEEDS:
        raise UsageError(f"no feed {name!r}", fix=f"one of {', '.join(FEEDS)}")
    durable.make_folder(root)
    before, state = one(root, name), root / f"{name}.source.json"
    with tempfile.TemporaryDirectory(prefix=durable.UNFINISHED, dir=root) as scratch:
        said = tuple(sources) or (ONLINE[name],)
        known = _known(state, said, before) if until is None and key is None else ""
        fetched = [_fetched(source, Path(scratch), n, known) for n, source in enumerate(said)]
        if None in fetched and before.manifest is not None:
            return Pulled(before, (), before.manifest.rejected, unchanged=True)
        paths = [one.path for one in fetched if one is not None]
        data = Path(scratch) / "data.db"
        errors: list[RecordError] = []
        if len(paths) == 1 and feeds_bundle.is_bundle(paths[0]):
            manifest, envelope = _bundled(root, paths[0], data, key)
            if manifest.feed != name:
                raise InputError(f"a bundle of {manifest.feed}, not of {name}", at=Location(said[0]))
        else:
            manifest = _made(name, paths, said, data, errors, now=now, until=until)
            envelope = feeds_bundle.seal(manifest, feeds_bundle.own_key(root / "keys"))
        _refuse_older(one(root, name), manifest, older=older)
        durable.sync(data)
        data.replace(root / f"{name}.db")
        durable.write(root / f"{name}.{feeds_bundle.MANIFEST}", envelope)
        durable.write(state, orjson.dumps([*said, fetched[0].state if fetched[0] else "", manifest.digest]))
    return Pulled(one(root, name), tuple(errors[:_TOLD]), len(errors))


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A source as a path here, and by what its server knows this state of it again."""

    path: Path
    state: str = ""


def _fetched(source: str, scratch: Path, number: int, known: str) -> _Fetched | None:
    """Fetch a source, if it is an address; None if it still is in the state ``known``."""
    if "://" not in source:
        return _Fetched(Path(source))
    target = scratch / f"source-{number}"
    state = feeds_download.download(source, target, known)
    return None if state is None else _Fetched(target, state)


def _known(file: Path, said: Sequence[str], before: Feed) -> str:
    """Return the state of the one address that the data here were made of; empty if they were not."""
    if len(said) != 1 or before.manifest is None or not file.is_file():
        return ""
    try:
        *sources, state, made = orjson.loads(file.read_bytes())
    except ValueError:  # damaged: fetched as if for the first time
        return ""
    return str(state) if (sources, made) == (list(said), before.manifest.digest) else ""


def _bundled(root: Path, path: Path, data: Path, key: Path | None) -> tuple[Manifest, bytes]:
    """Unpack and verify a bundle; a key that is given is trusted from now on."""
    from lemnis.graph import attestation

    envelope = feeds_bundle.manifest_of(path)
    keys = feeds_bundle.trusted(root / "keys")
    given = None
    if key is not None:
        try:
            given = attestation.read_public(key.read_bytes(), str(key))
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", at=Location(str(key))) from error
        keys.append(given)
    manifest = feeds_bundle.unseal(envelope, keys, str(path))
    feeds_bundle.unpack(path, data, feeds_sources.MAX_WHOLE)
    if manifest.digest != feeds_bundle.digest(data):
        raise IntegrityError("the data are not those that were signed", at=Location(str(path)))
    if given is not None:
        name = attestation.key_id(given).partition(":")[2][:16]
        durable.write(root / "keys" / f"{name}.pub", attestation.write_public(given))
    return manifest, envelope


def _refuse_older(before: Feed, manifest: Manifest, *, older: bool) -> None:
    had = before.manifest.until if before.manifest else None
    if older or had is None:
        return
    if manifest.until is None or manifest.until < had:
        what = "of unknown age" if manifest.until is None else f"as of {to_iso(manifest.until)[:10]}"
        raise RefusedError(
            f"these data are {what}, those here as of {to_iso(had)[:10]}",
            fix="--older takes them nevertheless",
        )


def _made(
    name: str, paths: Sequence[Path], sources: tuple[str, ...], data: Path, errors: list[RecordError],
    *, now: int, until: int | None,
) -> Manifest:  # fmt: skip
    """Read sources into a file of data."""
    if name == "osv":
        entries, newest = _osv(paths, data, errors)
    else:
        entries, newest = _exploitation(name, paths, data, errors)
    if not sum(entries.values()):
        raise InputError(
            f"nothing of {name} is in {', '.join(sources)}", at=errors[0].at if errors else None,
            fix=errors[0].what if errors else "a folder or zip of its files",
        )  # fmt: skip
    return Manifest(
        feed=name,
        digest=feeds_bundle.digest(data),
        made=now,
        until=until if until is not None else None if newest is None else min(newest, now),
        sources=sources,
        entries=entries,
        rejected=len(errors),
    )


def _osv(paths: Sequence[Path], data: Path, errors: list[RecordError]) -> tuple[dict[str, int], int | None]:
    from lemnis.scan import advisories_db

    built = advisories_db.build(data, (one for path in paths for one in advisories_of(path, errors)))
    with advisories_db.Advisories(data) as made:
        entries = {ecosystem.name: ecosystem.advisories for ecosystem in made.ecosystems().values()}
    return entries, built.newest


def advisories_of(path: Path, errors: list[RecordError]) -> Iterator[Advisory]:
    """Yield the OSV records of a folder, zip or file; what cannot be read is put into ``errors``."""
    from lemnis.content import yaml
    from lemnis.scan import advisories

    for name, data in feeds_sources.files(path, (".json", ".yaml", ".yml")):
        if isinstance(data, RecordError):
            errors.append(data)
            continue
        try:
            if data.lstrip()[:1] in {b"{", b"["}:
                document = orjson.loads(data)
            else:
                document = yaml.parse(data.decode("utf-8", "replace"), name)
        except orjson.JSONDecodeError as error:
            at = Location(name, error.lineno, error.colno)
            errors.append(RecordError(f"no JSON: {error.msg}", at=at))
            continue
        except ContentError as error:
            errors.append(RecordError(error.what, at=error.at or Location(name)))
            continue
        several = document.get("vulns") if isinstance(document, dict) and "id" not in document else None
        for record in document if isinstance(document, list) else several or [document]:
            try:
                yield advisories.read(record, name)
            except RecordError as error:
                errors.append(error)


def _exploitation(
    name: str, paths: Sequence[Path], data: Path, errors: list[RecordError]
) -> tuple[dict[str, int], int | None]:
    from lemnis.scan import exploitation

    read = exploitation.kev if name == "kev" else exploitation.epss
    rows: list[exploitation.Row] = []
    newest: int | None = None
    names: Counter[str] = Counter()
    for path in paths:
        for file, content in feeds_sources.files(path, (".json", ".csv", ".csv.gz", ".json.gz")):
            if isinstance(content, RecordError):
                errors.append(content)
                continue
            try:
                found, until = read(content, file, errors)
            except RecordError as error:
                errors.append(error)
                continue
            rows += found
            names[file] += len(found)
            newest = until if newest is None else max(newest, until or newest)
    return {name: exploitation.build(data, name, rows)}, newest


def pack(root: Path, name: str, out: Path, key: Path | None = None) -> Feed:
    """Write a feed as a bundle to hand on, signed with a private key if given, else as it was signed.

    Raises NotFoundError where the feed is not there, IntegrityError where it is damaged.
    """
    from lemnis.graph import attestation

    feed = one(root, name)
    if feed.manifest is None:
        if feed.problem == ABSENT:
            raise NotFoundError(f"no data of {name} here", fix=f"`lemnis content pull {name} --from …`")
        raise IntegrityError(feed.problem, at=Location(str(feed.path)), fix=f"pull {name} again")
    envelope = (root / f"{name}.{feeds_bundle.MANIFEST}").read_bytes()
    if key is not None:
        try:
            pem = key.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", at=Location(str(key))) from error
        envelope = feeds_bundle.seal(feed.manifest, attestation.read_private(pem, str(key)))
    feeds_bundle.pack(out, feed.path, envelope)
    return feed
