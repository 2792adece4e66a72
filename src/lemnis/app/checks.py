"""The checks of a library, ready to be asked; their examples; the scanners that ask them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lemnis
from lemnis.app import Workspace, cache_folder, checks_kept
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.check import Check as Manifest
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import ContentError, Location
from lemnis.contracts.resources import UNKNOWN, Judged, Resource, Steps, Verdict
from lemnis.contracts.scanning import Scanner
from lemnis.policy.checks import Check, judge, looked_at, without_each_fail
from lemnis.policy.conditions import rego
from lemnis.policy.engine import Engine
from lemnis.scan import resources
from lemnis.scan.readers import Read
from lemnis.scan.readers.kubernetes import namespaces

PASSES, FAILS, UNKNOWNS = "passes", "fails", "unknown"
_STATED = ".json"


@dataclass(frozen=True, slots=True)
class Tested:
    """What testing one check gave: how many cases, what is not as it should be."""

    name: str
    cases: int
    why: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Say whether all is as it should be."""
        return not self.why


def load(library: Library, *, cache: Path | None = None) -> tuple[Check, ...]:
    """Return every check; raises ContentError for the first that cannot be read.

    ``cache`` is a folder that only this user can write: what it has of a check is not read anew.
    """
    items = library.items("checks").values()
    return tuple(map(load_one, items)) if cache is None else checks_kept.through(cache, items, load_one)


def load_one(item: Item) -> Check:
    """Return one check; raises ContentError or UnsupportedError with file, line and column."""
    said = yaml.load(item.manifest, Manifest)
    file = item.folder / "check.rego"
    if bool(said.fails) == file.is_file():
        raise ContentError(
            "what fails is said neither here nor in check.rego, or in both", at=Location(str(item.manifest)),
            fix="say it in `fails`, or in check.rego",
        )  # fmt: skip
    text = rego(item.name, said.title, said.fails) if said.fails else yaml.read_text(file)
    where = str(item.manifest if said.fails else file)
    return Check(
        name=item.name, title=said.title, kinds=said.kinds, severity=Severity[said.severity.upper()],
        why=said.why, fix=said.fix, text=text, looks=looked_at(text, item.name, where),
        cwes=said.cwe, controls=said.controls,
        edit=(said.edit.replace, said.edit.by) if said.edit else None,
    )  # fmt: skip


def scanners(library: Library, workspace: Workspace | None) -> list[Scanner]:
    """Return the scanners that ask the checks of a library."""
    from lemnis.scan.checks import FileChecks, ImageChecks, ModuleChecks

    checks, version = load(library, cache=cache_folder()), lemnis.__version__
    now = (SystemClock() if workspace is None else workspace.clock).now()
    made = (FileChecks(checks, version), ModuleChecks(checks, version), ImageChecks(checks, version, now))
    return list(made) if checks else []


def try_all(library: Library, names: Sequence[str] = ()) -> Iterator[Tested]:
    """Judge the examples beside each check (all unless named); raises NotFoundError for an unknown name."""
    with Engine() as engine:
        for item in [library.get("checks", name) for name in names] or library.items("checks").values():
            try:
                check = load_one(item)
            except ContentError as error:
                yield Tested(item.name, 0, (str(error),))
                continue
            said = yaml.load(item.manifest, Manifest)
            cases = list(_cases(item, check, said.never_unknown, engine))
            yield Tested(item.name, len(cases), tuple(why for why in cases if why))


def _cases(item: Item, check: Check, never_unknown: str, engine: Engine) -> Iterator[str]:
    """Yield what is wrong with each case; an empty text for one that is as it should be."""
    found = {name: _example(item.folder, name) for name in (PASSES, FAILS, UNKNOWNS)}
    for name, read in found.items():
        if read is None and not (name == UNKNOWNS and never_unknown):
            yield f"no {name}.* beside it"
        elif read is not None and read.errors:
            yield f"{name}: {read.errors[0]}"
    said = {name: judge([check], read.resources, engine) for name, read in found.items() if read is not None}
    for name, judged in said.items():
        yield _wrong(name, judged)
    if PASSES in said:
        yield from _hidden(check, [one.resource for one in said[PASSES]], engine)
    if FAILS in said:
        yield from _missed(check, said[FAILS], engine)


def _wrong(name: str, judged: Sequence[Judged]) -> str:
    """Say what is wrong with the verdicts over the example ``name``."""
    verdicts = {one.verdict for one in judged}
    words = (
        ", ".join(f"{one.resource.name}: {one.verdict} {one.message}".strip() for one in judged[:3])
        or "nothing judged"
    )
    if name == PASSES and verdicts != {Verdict.PASS}:
        return f"{name}: {words}"
    if name == FAILS and Verdict.FAIL not in verdicts:
        return f"{name}: {words}"
    if name == UNKNOWNS and (Verdict.UNKNOWN not in verdicts or Verdict.FAIL in verdicts):
        return f"{name}: {words}"
    return ""


def _hidden(check: Check, passing: Sequence[Resource], engine: Engine) -> Iterator[str]:
    """A resource that passes must not fail for one value of it being unknown: it could still pass."""
    less = [
        replace(resource, name=".".join(map(str, way)), data=_without(resource.data, way), unknown=(way,))
        for resource in passing
        for way in _ways(resource.data)
        if check.looks.touch(way)
    ]
    for one in judge([check], less, engine):
        if one.verdict is Verdict.FAIL:
            yield f"{PASSES}: fails although {one.resource.name} is unknown"
    yield ""


def _missed(check: Check, failing: Sequence[Judged], engine: Engine) -> Iterator[str]:
    """Each ``fail`` rule must be needed by an example."""
    before = {(one.resource.name, one.steps, one.message) for one in failing if one.verdict is Verdict.FAIL}
    for line, text in without_each_fail(check.text):
        less = replace(check, text=text)
        after = judge([less], [one.resource for one in failing], engine)
        same = before == {
            (one.resource.name, one.steps, one.message) for one in after if one.verdict is Verdict.FAIL
        }
        yield f"{FAILS}: nothing in it needs the rule in line {line}" if same else ""


def _example(folder: Path, name: str) -> Read | None:
    """Read the examples of a name beside a check, in any format (``fails.tf``, ``fails_2.tf``)."""
    files = sorted([*folder.glob(f"{name}.*"), *folder.glob(f"{name}_*.*")])
    reads = [_read(path.name, yaml.read_text(path)) for path in files]
    if not reads:
        return None
    return Read(
        tuple(r for read in reads for r in read.resources), tuple(e for read in reads for e in read.errors)
    )


def _read(path: str, text: str) -> Read:
    if path.endswith(_STATED):
        return resources.read_stated(path, text)
    if resources.in_module(path):
        return resources.read_module([(path, text)])
    read = resources.read(path, text)
    return replace(read, resources=(*read.resources, *namespaces(read.resources)))


def _ways(value: Any, way: Steps = ()) -> Iterator[Steps]:
    """Yield the ways to all that is in a value."""
    if way:
        yield way
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from _ways(item, (*way, key))


def _without(value: Any, way: Steps) -> Any:
    """Return a value with ``UNKNOWN`` where a way leads."""
    if not way:
        return UNKNOWN
    if isinstance(value, list):
        return [_without(item, way[1:]) if n == way[0] else item for n, item in enumerate(value)]
    return {key: _without(item, way[1:]) if key == way[0] else item for key, item in value.items()}
