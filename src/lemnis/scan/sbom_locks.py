"""Lock files as bills of materials, so that a folder can be looked at without another tool. Pure.

Each reader gets the text of one file and its path, and returns what is locked there, with lines where the
format allows. What is named without a version is a component without one: nobody can say whether it is
vulnerable.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan import sbom_locks_node as node
from lemnis.scan import sbom_locks_other as other
from lemnis.scan import sbom_locks_python as python
from lemnis.scan.sbom import Sbom

MAX_BYTES: Final = 100_000_000
Reader = Callable[[str, str], Sbom]
READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "requirements*.txt": python.requirements, "*requirements.txt": python.requirements,
        "poetry.lock": python.toml_lock, "uv.lock": python.toml_lock, "pdm.lock": python.toml_lock,
        "pylock.toml": python.toml_lock, "pylock.*.toml": python.toml_lock,
        "Pipfile.lock": python.pipfile_lock,
        "package-lock.json": node.package_lock, "npm-shrinkwrap.json": node.package_lock,
        "yarn.lock": node.yarn_lock, "pnpm-lock.yaml": node.pnpm_lock,
        "go.mod": other.go_mod, "go.sum": other.go_sum, "Cargo.lock": other.cargo_lock,
        "Gemfile.lock": other.gemfile_lock, "gems.locked": other.gemfile_lock,
        "composer.lock": other.composer_lock, "pom.xml": other.pom, "gradle.lockfile": other.gradle_lock,
        "packages.lock.json": other.nuget_lock,
    }
)  # fmt: skip
"""Readers by the name of the file."""


def reader(path: str) -> Reader | None:
    """Return what reads a file, by its name; None if nothing does."""
    name = posixpath.basename(path)
    if posixpath.basename(posixpath.dirname(path)) == "requirements" and name.endswith(".txt"):
        return python.requirements
    return next((made for pattern, made in READERS.items() if fnmatchcase(name, pattern)), None)


def read(data: bytes, path: str) -> Sbom:
    """Read a lock file by its name; raises RecordError with line and column for what is not of its format."""
    made = reader(path)
    if made is None:
        raise RecordError("no lock file that is known", at=Location(path), fix=", ".join(READERS))
    if len(data) > MAX_BYTES:
        raise RecordError(f"{len(data):,} bytes, more than {MAX_BYTES:,}", at=Location(path))
    return made(data.decode("utf-8-sig", "replace"), path).at(path)
