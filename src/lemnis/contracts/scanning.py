"""What a scanner that is Python offers, so that it takes part in a scan beside programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lemnis.contracts.findings import Finding, ScanHealth


class Scanner(Protocol):
    """A scanner in this process. It is called in a thread of its own, once a scan."""

    @property
    def name(self) -> str:
        """Return its name: the ``tool`` of its findings and of its health."""

    @property
    def definition(self) -> str:
        """Return what its answer depends on beside the files: version, digest of rules, state of data.

        The same files under the same definition are not scanned again; empty means: always scan.
        """

    @property
    def per_file(self) -> bool:
        """Say whether each file is judged by itself, so that one changed file is scanned alone."""

    def fits(self, path: str) -> bool:
        """Say whether it reads a file, by its path relative to the folder, with ``/``."""

    def scan(self, folder: Path, files: Sequence[str]) -> tuple[Sequence[Finding], ScanHealth]:
        """Scan ``files`` (those that fit, relative to ``folder``), and say how that went.

        An empty ``fingerprint`` is filled in by the runner: from tool, rule, path and the code of the lines.
        What cannot be read is an error in the health with the state unknown, never an exception.
        """
