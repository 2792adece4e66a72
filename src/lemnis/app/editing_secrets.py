"""Secrets in a text while it is typed: detect-secrets in this process, which looks at each line once.

Its plug-ins judge a line by itself, so that of a text that was changed only the lines that are new are looked
at. The findings are those of the scanner ``detect_secrets``, as the build will have them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth

TOOL = "detect_secrets"
_ALLOWED = "detect_secrets.filters.allowlist.is_line_allowlisted"
_FIX = "revoke the secret, then take it out of the file and its history"
_KEPT = 200_000
_CWE = 798


class Secrets:
    """Remembers for each line what kinds of secrets it holds."""

    name = TOOL
    definition = ""
    per_file = True

    def __init__(self) -> None:
        """Raises ModuleNotFoundError where detect-secrets is not installed."""
        from detect_secrets.core.scan import scan_file
        from detect_secrets.settings import default_settings

        self._scan, self._settings = scan_file, default_settings
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def fits(self, path: str) -> bool:
        """Every file can hold a secret."""
        return bool(path)

    def scan(self, folder: Path, files: Sequence[str]) -> tuple[Sequence[Finding], ScanHealth]:
        """Look at files, of each at the lines that were not seen before."""
        found = [finding for path in files for finding in self._file(folder, path)]
        return found, ScanHealth(TOOL, version("detect-secrets"), Health.OK, len(files), (), 0)

    def _file(self, folder: Path, path: str) -> list[Finding]:
        lines = (folder / path).read_text(encoding="utf-8", errors="replace").split("\n")
        suffix = Path(path).suffix
        if len(self._known) > _KEPT:
            self._known.clear()
        self._look(suffix, [line for line in dict.fromkeys(lines) if (suffix, line) not in self._known])
        return [
            Finding(
                "", TOOL, kind, f"{kind} in a file", Severity.MEDIUM, path, number, number, (_CWE,),
                kind=Kind.SECRET, fix=_FIX,
            )
            for number, line in enumerate(lines, 1)
            for kind in self._known.get((suffix, line), ())
        ]  # fmt: skip

    def _look(self, suffix: str, lines: Sequence[str]) -> None:
        """Look at lines, in a file of the same type that holds nothing else."""
        if not lines:
            return
        kinds: dict[int, list[str]] = {}
        with tempfile.NamedTemporaryFile("w", suffix=suffix, encoding="utf-8", errors="replace") as file:
            file.write("\n".join(lines))
            file.flush()
            with self._settings() as settings:
                settings.disable_filters(_ALLOWED)
                for secret in self._scan(file.name):
                    kinds.setdefault(secret.line_number, []).append(secret.type)
        for number, line in enumerate(lines, 1):
            self._known[(suffix, line)] = tuple(sorted(set(kinds.get(number, ()))))


def secrets() -> list[Secrets]:
    """Return the scanner, if it is installed."""
    try:
        return [Secrets()]
    except ModuleNotFoundError:
        return []
