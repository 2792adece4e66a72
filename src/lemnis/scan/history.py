"""Scans many commits at once: each distinct tree is laid out beside the others and the scanner runs once.

What a tree was found to hold is kept by the tree's own id, the scanner's definition and its version: trees
never change, so a replay of a long history costs only what is new in it.
"""

from __future__ import annotations

import errno
import posixpath
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

import orjson
import pydantic

from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts import scanning
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.contracts.ids import canonical, stable_id
from lemnis.scan.fingerprint import fingerprints
from lemnis.scan.inventory import fits
from lemnis.scan.places import relative
from lemnis.scan.programs import rules_digest, source
from lemnis.scan.runner import Scan, scan
from lemnis.store.git import Commit, Repository

_FORMAT = "5"
"""Changes when the same tree is looked at in another way: what was kept before no longer counts."""
_REPORT: Final = pydantic.TypeAdapter(ScanReport)
_DEEPEST = 200
_NO_NAMES = frozenset(
    {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL}
)


def history(
    repository: Repository,
    commits: Sequence[Commit],
    scanners: Sequence[Scanner],
    cache: MutableMapping[str, bytes] | None = None,
    own: Sequence[scanning.Scanner] = (),
) -> Mapping[str, ScanReport]:
    """Return the scan of each commit's whole tree, by commit id.

    Only scans in which every scanner really looked are kept in ``cache``. What cannot be laid out makes a
    tree's scan unknown: a name that leads outside or that no disk takes, a submodule, and a link with the
    name of code to something that is not scanned itself.
    """
    kept: MutableMapping[str, bytes] = {} if cache is None else cache
    tools = canonical([[scanner.name, rules_digest(scanner)] for scanner in scanners]).decode()
    tools += canonical([[one.name, one.definition] for one in own]).decode()
    trees = {commit.tree: commit.id for commit in commits}
    keys = {tree: stable_id("scan", _FORMAT, tree, tools) for tree in trees}
    loaded = {tree: _load(kept[key]) for tree, key in keys.items() if key in kept}
    reports = {tree: report for tree, report in loaded.items() if report is not None}
    fresh = _scan(repository, {tree: trees[tree] for tree in trees if tree not in reports}, scanners, own)
    for tree, report in fresh.items():
        if all(health.state is Health.OK for health in report.health):
            kept[keys[tree]] = orjson.dumps(asdict(report))
    reports |= fresh
    return {commit.id: reports[commit.tree] for commit in commits}


def _scan(
    repository: Repository,
    trees: Mapping[str, str],
    scanners: Sequence[Scanner],
    own: Sequence[scanning.Scanner],
) -> dict[str, ScanReport]:
    """Lay out the trees (tree id to a commit that has it) in one folder and scan it in one go."""
    if not trees:
        return {}
    with tempfile.TemporaryDirectory(prefix="lemnis-scan-") as name:
        root = Path(name)
        patterns = [pattern for scanner in scanners for pattern in scanner.files]
        unseen = {
            tree: (*_lay_out(repository, commit, root / tree), *_unseen(repository, commit, patterns))
            for tree, commit in trees.items()
        }
        whole, apart = _looked(root, trees, scanners, own)
        fit = {one.name: partial(_fits, one, whole) for one in scanners} | {one.name: one.fits for one in own}
        return {
            tree: _part(whole, apart[tree], root, tree, trees=trees, unseen=unseen[tree], fit=fit)
            for tree in trees
        }


def _looked(
    root: Path, trees: Collection[str], scanners: Sequence[Scanner], own: Sequence[scanning.Scanner]
) -> tuple[Scan, dict[str, ScanReport]]:
    """Scan the trees together, and each by itself with the tools that would mix them up.

    Those are our own that judge files together (namespaces, VEX), and any that found something without
    saying in which file: of which tree that is would be a guess.
    """
    beside = [one for one in own if one.per_file]
    asked = [*(one.name for one in scanners), *(one.name for one in beside)]
    whole = scan(root, scanners if asked else (), beside, asked=asked)
    loose = {one.tool for one in whole.report.findings if one.path.partition("/")[0] not in trees}
    mixing = [one for one in own if not one.per_file or one.name in loose]
    programs = [one for one in scanners if one.name in loose]
    names = [*(one.name for one in programs), *(one.name for one in mixing)]
    apart = {
        tree: scan(root / tree, programs, mixing, asked=names).report if names else ScanReport((), ())
        for tree in trees
    }
    report = ScanReport(
        tuple(one for one in whole.report.findings if one.tool not in loose),
        tuple(one for one in whole.report.health if one.tool not in loose),
    )
    return replace(whole, report=report), apart


def _fits(scanner: Scanner, whole: Scan, path: str) -> bool:
    return fits(path, scanner.files, whole.inventory.files.get(path))


def _lay_out(repository: Repository, commit: str, folder: Path) -> Iterator[str]:
    """Write a commit's files below ``folder``; yield what is wrong with those that cannot be."""
    folder.mkdir()
    for path, content in repository.tree(commit):
        if relative(path) != path:
            yield f"name leads outside the repository: {path}"
        elif path.count("/") > _DEEPEST:
            yield f"name of more than {_DEEPEST} folders: {path}"
        else:
            try:
                _write(folder / path, content)
            except OSError as error:
                if error.errno not in _NO_NAMES:
                    raise
                yield f"name cannot be laid out ({error.strerror}): {path}"


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _unseen(repository: Repository, commit: str, patterns: Sequence[str]) -> Iterator[str]:
    """Yield what a commit brings in that is not among its files: submodules, and links in place of code."""
    for path in repository.submodules(commit):
        yield f"{path}: a submodule, which is not looked at"
    links = {path: to for path, to in repository.links(commit).items() if fits(path, patterns)}
    files = repository.files(commit) if links else {}
    for path, to in links.items():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), to))
        if target not in files or not fits(target, patterns):
            yield f"{path}: a link to {to}, which is not looked at"


def _part(
    whole: Scan,
    apart: ScanReport,
    root: Path,
    tree: str,
    *,
    trees: Collection[str],
    unseen: Sequence[str],
    fit: Mapping[str, Callable[[str], bool]],
) -> ScanReport:
    """Cut one tree's share out of the scan of all, and add what was looked at ``apart``.

    A tool that reads nothing of the tree has no health.
    """
    prefix = f"{tree}/"
    own = [_relative(f, tree) for f in whole.report.findings if f"{f.path}/".startswith(prefix)]
    found = (*fingerprints(own, lambda path: source(root / tree / path)), *apart.findings)
    others = [f"{other}/" for other in trees if other != tree]
    files = [path for path in (*whole.inventory.files, *whole.inventory.odd) if path.startswith(prefix)]
    health = tuple(
        _health(one, prefix, others, unseen)
        for one in whole.report.health
        if any(fit[one.tool](path) for path in files)
    )
    health += tuple(_health(one, prefix, (), unseen) for one in apart.health)
    if unseen and not health:
        health = (ScanHealth("lemnis", "", Health.UNKNOWN, 0, tuple(unseen), 0),)
    return ScanReport(found, health)


def _relative(finding: Finding, tree: str) -> Finding:
    """Return a finding as if its tree had been scanned alone."""
    prefix = f"{tree}/"
    return replace(
        finding,
        path="." if finding.path == tree else finding.path.removeprefix(prefix),
        resource=finding.resource.replace(prefix, ""),
        title=finding.title.replace(prefix, ""),
        message=finding.message.replace(prefix, ""),
        edits=tuple(replace(one, path=one.path.removeprefix(prefix)) for one in finding.edits),
        flow=tuple(replace(one, path=one.path.removeprefix(prefix)) for one in finding.flow),
    )


def _health(health: ScanHealth, prefix: str, others: Sequence[str], unseen: Sequence[str]) -> ScanHealth:
    """Leave out the errors that are about other trees: what names no tree concerns every one."""
    errors = (
        error.replace(f"./{prefix}", "").replace(prefix, "")
        for error in health.errors
        if prefix in error or not any(other in error for other in others)
    )
    said = tuple(dict.fromkeys((*errors, *unseen)))
    open_ = tuple(
        replace(one, path=one.path.removeprefix(prefix), resource=one.resource.replace(prefix, ""))
        for one in health.unjudged
        if one.path.startswith(prefix) or not others
    )
    return replace(health, errors=said, state=Health.UNKNOWN if said else Health.OK, unjudged=open_)


def _load(data: bytes) -> ScanReport | None:
    """Read a kept scan; None for one that is damaged, which is then made again."""
    try:
        return _REPORT.validate_json(data)
    except ValueError:
        return None
