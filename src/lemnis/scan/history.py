"""Scans many commits at once: each distinct tree is laid out beside the others and the scanner runs once.

What a tree was found to hold is kept by the tree's own id, the scanner's definition and its version: trees
never change, so a replay of a long history costs only what is new in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import orjson

from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.contracts.ids import canonical, stable_id
from lemnis.scan.fingerprint import fingerprints
from lemnis.scan.reading import relative
from lemnis.scan.runner import lines, run, version
from lemnis.store.git import Commit, Repository


def history(
    repository: Repository,
    commits: Sequence[Commit],
    scanners: Sequence[Scanner],
    cache: MutableMapping[str, bytes] | None = None,
) -> Mapping[str, ScanReport]:
    """Return the scan of each commit's whole tree, by commit id.

    Only scans in which every scanner really looked are kept in ``cache``. A file name that leads outside
    the tree makes that tree's scan unknown.
    """
    kept: MutableMapping[str, bytes] = {} if cache is None else cache
    tools = canonical([[scanner.model_dump(mode="json"), version(scanner)] for scanner in scanners]).decode()
    trees = {commit.tree: commit.id for commit in commits}
    keys = {tree: stable_id("scan", tree, tools) for tree in trees}
    reports = {tree: _load(kept[key]) for tree, key in keys.items() if key in kept}
    fresh = _scan(repository, {tree: trees[tree] for tree in trees if tree not in reports}, scanners)
    for tree, report in fresh.items():
        if all(health.state is Health.OK for health in report.health):
            kept[keys[tree]] = orjson.dumps(asdict(report))
    reports |= fresh
    return {commit.id: reports[commit.tree] for commit in commits}


def _scan(
    repository: Repository, trees: Mapping[str, str], scanners: Sequence[Scanner]
) -> dict[str, ScanReport]:
    """Lay out the trees (tree id to a commit that has it) in one folder and scan it in one go."""
    if not trees:
        return {}
    with tempfile.TemporaryDirectory(prefix="lemnis-scan-") as name:
        root = Path(name)
        outside = {tree: _lay_out(repository, commit, root / tree) for tree, commit in trees.items()}
        whole = run(root, scanners)
        return {tree: _part(whole, root, tree, outside[tree]) for tree in trees}


def _lay_out(repository: Repository, commit: str, folder: Path) -> tuple[str, ...]:
    """Write a commit's files below ``folder``; return the names that would have led outside."""
    refused = []
    folder.mkdir()
    for path, content in repository.tree(commit):
        if relative(path) != path:
            refused.append(path)
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return tuple(refused)


def _part(whole: ScanReport, root: Path, tree: str, outside: Sequence[str]) -> ScanReport:
    """Cut one tree's share out of the scan of all of them."""
    prefix = f"{tree}/"
    own = (f for f in whole.findings if f.path.startswith(prefix))
    found = fingerprints(
        (replace(f, path=f.path.removeprefix(prefix)) for f in own), lambda path: lines(root / tree / path)
    )
    return ScanReport(tuple(found), tuple(_health(health, prefix, outside) for health in whole.health))


def _health(health: ScanHealth, prefix: str, outside: Sequence[str]) -> ScanHealth:
    """Keep the errors that name this tree, and those that name none: they concern every tree."""
    other_tree = [error for error in health.errors if "/" in error and prefix not in error]
    mine = [
        error.replace(f"./{prefix}", "").replace(prefix, "")
        for error in health.errors
        if error not in other_tree
    ]
    errors = (*mine, *(f"name leads outside the repository: {path}" for path in outside))
    return replace(health, errors=errors, state=Health.UNKNOWN if errors else Health.OK)


def _load(data: bytes) -> ScanReport:
    document = orjson.loads(data)
    return ScanReport(
        tuple(
            Finding(**{**f, "severity": Severity(f["severity"]), "cwes": tuple(f["cwes"])})
            for f in document["findings"]
        ),
        tuple(
            ScanHealth(**{**h, "state": Health(h["state"]), "errors": tuple(h["errors"])})
            for h in document["health"]
        ),
    )
