"""What lies in a folder: its files, what they are, and what is there that cannot be scanned.

A file is told by its name, and where names do not tell (YAML and JSON) by how it begins.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lemnis.contracts.errors import Location, NotFoundError

_SKIPPED: Final = frozenset(
    {
        ".git",
        ".venv",
        "node_modules",
        "__pycache__",
        ".hg",
        ".svn",
        ".ruff_cache",
        ".mypy_cache",
        ".pytest_cache",
    }
)
_HEAD: Final = 65_536
LANGUAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".py": "python", ".pyi": "python", ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript",
        ".jsx": "javascript", ".ts": "typescript", ".tsx": "typescript", ".go": "go", ".java": "java",
        ".kt": "kotlin", ".scala": "scala", ".rb": "ruby", ".php": "php", ".cs": "csharp", ".c": "c",
        ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".hpp": "cpp", ".rs": "rust", ".swift": "swift",
        ".sh": "shell", ".bash": "shell", ".ps1": "powershell", ".sql": "sql", ".lua": "lua", ".pl": "perl",
        ".dart": "dart", ".ex": "elixir", ".html": "html", ".vue": "vue",
    }
)  # fmt: skip
NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "dockerfile": ("Dockerfile", "Dockerfile.*", "*.Dockerfile", "*.dockerfile", "Containerfile"),
        "terraform": ("*.tf", "*.tf.json", "*.tofu"),
        "helm": ("Chart.yaml",),
        "workflow": (".github/workflows/*.yml", ".github/workflows/*.yaml", "action.yml", "action.yaml"),
        "dependabot": (".github/dependabot.yml", ".github/dependabot.yaml"),
        "gitlab_ci": (".gitlab-ci.yml", ".gitlab-ci.yaml"),
        "compose": ("docker-compose*.y*ml", "compose.y*ml"),
        "python_lock": (
            "requirements*.txt", "poetry.lock", "Pipfile.lock", "uv.lock", "pdm.lock", "pylock*.toml",
        ),
        "node_lock": ("package-lock.json", "yarn.lock", "pnpm-lock.yaml", "npm-shrinkwrap.json", "bun.lock"),
        "go_lock": ("go.mod", "go.sum"),
        "java_lock": ("pom.xml", "gradle.lockfile", "build.gradle", "build.gradle.kts"),
        "ruby_lock": ("Gemfile.lock",), "rust_lock": ("Cargo.lock",), "php_lock": ("composer.lock",),
        "dotnet_lock": ("packages.lock.json", "*.deps.json"), "elixir_lock": ("mix.lock",),
        "dart_lock": ("pubspec.lock",),
    }
)  # fmt: skip
"""Kinds of files that their names tell."""
_CONTENT: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "cloudformation": re.compile(r"AWSTemplateFormatVersion|[\"']?Type[\"']?\s*:\s*[\"']?AWS::\w+::\w+"),
        "kubernetes": re.compile(
            r"^[\"'{\s]*apiVersion[\"']?\s*:.*?^\s*[\"']?kind[\"']?\s*:"
            r"|^[\"'{\s]*kind[\"']?\s*:.*?^\s*[\"']?apiVersion[\"']?\s*:",
            re.MULTILINE | re.DOTALL,
        ),
        "workflow": re.compile(
            r"\A(?=.*^[\"']?on[\"']?\s*:)(?=.*^jobs\s*:)|\A(?=.*^runs\s*:\s*$)(?=.*^\s+using\s*:)",
            re.MULTILINE | re.DOTALL,
        ),
        "terraform_plan": re.compile(r"^\s*\{(?=.*\"terraform_version\")(?=.*\"planned_values\")", re.DOTALL),
    }
)
_READ: Final = (".yaml", ".yml", ".json", ".template")
LOCKS: Final = tuple(name for name in NAMES if name.endswith("_lock"))
_ALL_NAMES: Final = tuple(pattern for patterns in NAMES.values() for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The files of a folder by path, the kinds of each, and what cannot be scanned with its reason.

    ``links`` are links to files within the folder: what they lead to is scanned under its own name.
    """

    files: Mapping[str, frozenset[str]]
    odd: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    def kinds(self) -> Mapping[str, int]:
        """Return how many files there are of each kind, sorted by name."""
        counts: dict[str, int] = {}
        for kinds in self.files.values():
            for kind in kinds:
                counts[kind] = counts.get(kind, 0) + 1
        return dict(sorted(counts.items()))

    def fitting(self, patterns: Sequence[str]) -> list[str]:
        """Return the files that a scanner with these patterns reads."""
        return [path for path, kinds in self.files.items() if fits(path, patterns, kinds)]

    def unseen(self, patterns: Sequence[str]) -> Iterator[str]:
        """Yield what such a scanner would have to read and cannot, with the reason."""
        yield from (f"{path}: {why}" for path, why in self.odd.items() if fits(path, patterns))
        for path, to in self.links.items():
            if fits(path, patterns) and not (to in self.files and fits(to, patterns, self.files[to])):
                yield f"{path}: a link to {to}, which is not looked at"


def has_longer_line(path: Path, most: int) -> bool:
    """Say whether a file has a line of more than ``most`` bytes; one that cannot be read has none."""
    with suppress(OSError), path.open("rb") as file:
        begun = b""
        while block := file.read(most + 1 - len(begun)):
            line = begun + block
            end = line.rfind(b"\n")
            if end < 0 and len(line) > most:
                return True
            begun = line[end + 1 :]
    return False


def take(root: Path, within: Path | None = None) -> Inventory:
    """Look at a folder, or at one file (``within`` a folder); raises NotFoundError if there is neither."""
    if root.is_file():
        name = root.relative_to(within).as_posix() if within is not None else root.name
        return Inventory({name: kinds_of(name, _head(root))})
    if not root.is_dir():
        raise NotFoundError("no such folder", at=Location(str(root)))
    files: dict[str, frozenset[str]] = {}
    odd: dict[str, str] = {}
    links: dict[str, str] = {}
    top = root.resolve()
    for path, entry in _walk(root):
        try:
            path.encode()
        except UnicodeEncodeError:
            odd[path.encode(errors="surrogateescape").decode(errors="backslashreplace")] = "no UTF-8 name"
            continue
        if entry.is_symlink():
            _link(path, entry, top, odd, links)
        elif stat.S_ISREG(entry.lstat().st_mode):
            files[path] = kinds_of(path, _head(entry))
        else:
            odd[path] = "no regular file"
    return Inventory(files, odd, links)


def kinds_of(path: str, head: str = "") -> frozenset[str]:
    """Return what a file is, by its path and how it begins."""
    told = named(path, _ALL_NAMES)
    kinds = {kind for kind, patterns in NAMES.items() if named(path, patterns)} if told else set()
    language = LANGUAGES.get(posixpath.splitext(path)[1].lower())
    if language:
        kinds.add(language)
    if head:
        kinds |= {kind for kind, pattern in _CONTENT.items() if pattern.search(head)}
    if "workflow" in kinds or "helm" in kinds:
        kinds.discard("kubernetes")
    return frozenset(kinds)


def fits(path: str, patterns: Sequence[str], kinds: frozenset[str] | None = None) -> bool:
    """Say whether a file is one that the patterns of a ``scanner.yaml`` mean.

    Without its ``kinds``, of which only the content tells, a name that may be of such a kind fits.
    """
    names, wanted = _split(tuple(patterns))
    if named(path, names):
        return True
    if kinds is not None or not wanted:
        return kinds is not None and not wanted.isdisjoint(kinds)
    by_name = kinds_of(path)
    told = not by_name.isdisjoint(NAMES)
    return not by_name.isdisjoint(wanted) or (
        not told and not wanted.isdisjoint(_CONTENT) and path.endswith(_READ)
    )


@cache
def _split(patterns: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the patterns of names, and the kinds that the others mean."""
    names = tuple(one for one in patterns if not one.startswith("@"))
    wanted = (LOCKS if one == "@lock" else (one[1:],) for one in patterns if one.startswith("@"))
    return names, frozenset(kind for some in wanted for kind in some)


def named(path: str, patterns: Sequence[str]) -> bool:
    """Say whether a path fits: patterns with a slash mean the end of the path, others the name."""
    names, paths = _compiled(tuple(patterns))
    return names.match(posixpath.basename(path)) is not None or paths.match(path) is not None


@cache
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what names and whole paths must be like."""
    ends = [one for one in patterns if "/" in one]
    return (
        _any(one for one in patterns if "/" not in one),
        _any(way for one in ends for way in (one, f"*/{one}")),
    )


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


def _link(path: str, entry: Path, top: Path, odd: dict[str, str], links: dict[str, str]) -> None:
    """Sort a link: one within the folder is a link, one that leads out is odd, one to nothing is nothing."""
    try:
        target = entry.resolve(strict=True)
    except (OSError, RuntimeError):
        odd[path] = f"a link to {entry.readlink()}, which is not looked at"
        return
    if target.is_dir():
        return
    if not target.is_file():
        odd[path] = "no regular file"
    elif not target.is_relative_to(top):
        odd[path] = f"a link to {entry.readlink()}, outside the folder, which is not looked at"
    else:
        links[path] = target.relative_to(top).as_posix()


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        here = Path(folder)
        prefix = here.relative_to(root).as_posix()
        for name in sorted(names):
            if name not in _SKIPPED:
                yield (name if prefix == "." else f"{prefix}/{name}"), here / name


def _head(path: Path) -> str:
    """Return how a file of a kind begins that names do not tell; nothing of others."""
    if path.suffix.lower() not in _READ:
        return ""
    with path.open("rb") as file:
        return file.read(_HEAD).decode("utf-8", "replace")
