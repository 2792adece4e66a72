"""``scanner.yaml``: a program that Lemnis drives, how to run it, and how to read what it says."""

from __future__ import annotations

from typing import Literal

import pydantic

from lemnis.content.schemas import Expression, Model
from lemnis.content.schemas.reader import Name, Report, Severity

__all__ = ["Exits", "Scanner", "Severity"]


class Exits(Model):
    """What the program's exit codes mean; any other means that it failed.

    ``lies`` says that ``findings`` come with a code for clean too, so that the report alone decides.
    """

    clean: tuple[int, ...] = (0,)
    findings: tuple[int, ...] = ()
    lies: bool = False


class Scanner(Model):
    """One scanner.

    ``files`` are patterns of names (of whole paths, if they have a slash), or ``@`` and a kind of file that
    ``lemnis scan`` tells apart (``@dockerfile``, ``@kubernetes`` …). In ``command``, ``{files}`` stands for
    the files, each an argument of its own, ``{report}`` for a file that it writes its report to,
    ``{rules}`` for each file of ``rules``, and ``{folder}`` for the folder of the one file of a run, below
    which the report's paths are. ``part`` says when it takes part: ``always`` (if it is missing,
    the scan is unknown), when it is ``present``, or only when it is ``asked`` for by name. ``per_file`` says
    that what it finds in a file depends on that file alone, ``many`` the command for more than ten files if
    naming each costs it much (of what it finds, only what is in the files counts), ``editor`` that it answers
    at once, so that it looks at every change in an editor, ``single`` that it takes one file a run, and
    ``written`` where it puts its report if not quite at ``{report}``. ``trouble`` are expressions of lines on
    its standard error that mean that it did not look, whatever its exit code; ``known_by`` what its version
    must fit, where another program has the same name; ``version_in`` where it says its version (group 1, or
    all). ``passes`` names variables of the environment that it gets (a ``*`` at the end: all that begin so):
    it gets no others. ``silenced_by`` are files that make it leave findings out and that it cannot be told
    to ignore: where one lies in the folder, the scan is unknown. ``languages`` says which files the
    languages mean that its rules name: it reads those alone. A file with a line of more than
    ``longest_line`` bytes (0: any) it is not given, which makes the scan unknown.
    """

    name: Name
    title: str
    files: tuple[str, ...] = pydantic.Field(min_length=1)
    command: tuple[str, ...] = pydantic.Field(min_length=1)
    version: tuple[str, ...] = pydantic.Field(min_length=1)
    known_by: Expression = ""
    version_in: Expression = r"\d+(?:\.\d+)+"
    needs: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    environment: dict[str, str] = pydantic.Field(default_factory=dict)
    passes: tuple[str, ...] = ()
    silenced_by: tuple[str, ...] = ()
    languages: dict[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    exits: Exits = Exits()
    timeout_s: int = pydantic.Field(default=300, gt=0, le=3600)
    part: Literal["always", "present", "asked"] = "present"
    per_file: bool = False
    longest_line: int = pydantic.Field(default=0, ge=0)
    many: tuple[str, ...] = ()
    editor: bool = False
    single: bool = False
    written: str = "{report}"
    empty_is_clean: bool = False
    trouble: tuple[Expression, ...] = ()
    report: Report | tuple[Report, ...]
    makes: Literal["findings", "sbom"] = "findings"
    install: str = ""

    @property
    def reports(self) -> tuple[Report, ...]:
        """Return the layouts of its report; the first is that of the command, others are only imported."""
        return self.report if isinstance(self.report, tuple) else (self.report,)
