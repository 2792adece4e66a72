"""``lemnis hunt``: detections over files, without a workspace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.output import (
    JsonOption,
    console,
    counted,
    emit,
    messages,
    report,
    show_table,
    warn,
)

if TYPE_CHECKING:
    from lemnis.app import hunt as hunting
    from lemnis.app.hunt import Hit, Skipped
    from lemnis.contracts.events import Reject

_LEVELS = ("critical", "high", "medium", "low", "informational", "")
_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_NAMED = 5
_SORTABLE = re.compile(
    r"\d{4}-\d\d-\d\d|\d{9,}$"
)  # others, such as 02/Feb/2026, stay in the order of the input


_COUNTED = re.compile(r"\d{10}(\.\d+)?|\d{13}|\d{16}|\d{19}")
"""Times that count from 1970, in this century: seconds, or thousandths, millionths, billionths of them."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("hunt")(hunt)


def hunt(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders; - is the input.")],
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="DIR", help="Sigma rules; the built-in detections if not given."),
    ] = None,
    source: Annotated[str, typer.Option(help="What the input is; see `lemnis sources list`.")] = "auto",
    level: Annotated[str, typer.Option(help="The lowest level that is told.")] = "",
    exceptions: Annotated[
        list[Path] | None,
        typer.Option(
            "--exceptions", metavar="PATH", help="Exceptions from the rules, as in content/exceptions."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes for large input; 0: one a core.")] = 0,
    json: JsonOption = False,
) -> None:
    """Look for what the rules describe in event logs (EVTX, JSON lines, audit, syslog, web …, .gz, .zst).

    With --json one object a match: `rule_id`, `rule_title`, `level`, `time`, `file`, `record`, `event`. Exit
    code 0: nothing found, 1: something found, 2: some input or rule was bad (the rest was looked at). What
    exceptions hold back, up to their last day by the records' times, is counted and not told. A rule
    that is right but cannot be evaluated here (a placeholder without a value) is warned of; where no other
    rule is left, nothing was looked for, and the exit code is 2.

    Example: lemnis hunt C/Windows/System32/winevt/Logs --rules sigma/rules/windows
    """
    from lemnis.app import hunt as hunting
    from lemnis.app.hunt_jobs import cores
    from lemnis.contracts.errors import UnsupportedError, UsageError

    if level not in _LEVELS:
        raise UsageError(f"no level {level!r}", fix=f"one of {', '.join(_LEVELS[:-1])}")
    loaded = hunting.rules(rules or [])
    made, wrong = hunting.excepting(exceptions or [], loaded)
    problems = (*loaded.problems, *wrong)
    broken = [problem for problem in problems if not isinstance(problem, UnsupportedError)]
    for problem in problems:
        (report if problem in broken else warn)(problem)
    account = _Account(_LEVELS[: _LEVELS.index(level) + 1] if level else _LEVELS, json=json)
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task(counted(len(loaded.rules), "rule"))
        with closing(hunting.hunt(paths, loaded, source=source, jobs=jobs or cores(), made=made)) as found:
            for item in found:
                account.take(item)
                records, matches = counted(account.records, "record"), counted(account.matches, "match")
                progress.update(task, description=f"{records} · {matches}")
    if not json:
        _show(account, rules=len(loaded.rules))
    _warn(account, paths, some=bool(loaded.rules))
    if not loaded.rules:  # nothing was looked for, which must not read as nothing found
        warn("no rule could be used, so nothing was looked for")
        raise typer.Exit(2)
    if account.bad or broken:
        files = {problem.at.file if problem.at else "" for problem in broken}
        warn(
            f"{account.bad:,} of the records or files, and {len(files):,} of the files of rules or "
            "exceptions, could not be used"
        )
        raise typer.Exit(2)
    raise typer.Exit(1 if account.matches else 0)


def _warn(account: _Account, paths: Sequence[Path], *, some: bool) -> None:
    """Say what was held back, what no rule (if there are ``some``) looked at, and what was left out."""
    for name, count in sorted(account.held.items()):
        messages.print(f"{counted(count, 'match')} held back by the exception {name}")
    if account.records and some and not account.asked:
        warn("none of the rules is for logs of this kind: see their logsource, and --source")
    for path in paths:
        if not account.bad and path.is_file() and str(path) not in account.read:
            warn(f"{path} holds no record")
    if account.skipped:
        names = ", ".join(sorted({Path(file).name for file in account.skipped})[:_NAMED])
        left = counted(len(account.skipped), "file")
        warn(f"left out, because no source recognises it as logs: {left}: {names} …")


@dataclass(slots=True)
class _Account:
    """What a hunt has come to so far; with ``json`` each match is printed and not kept."""

    levels: tuple[str, ...]
    json: bool
    found: list[Hit] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    matches: int = 0
    bad: int = 0
    records: int = 0
    asked: int = 0
    read: set[str] = field(default_factory=set)

    def take(self, item: Hit | Reject | Skipped | hunting.Progress | hunting.Excepted) -> None:
        """Count, print or keep one thing that the hunt came upon."""
        from lemnis.app import hunt as hunting
        from lemnis.contracts.events import Reject

        if isinstance(item, Reject):
            self.bad += 1
            warn(f"{item.at}: {item.reason}")
        elif isinstance(item, hunting.Skipped):
            self.skipped.append(item.file)
        elif isinstance(item, hunting.Excepted):
            self.held[item.exception] = self.held.get(item.exception, 0) + item.count
        elif isinstance(item, hunting.Progress):
            self.records, self.asked = item.records, item.asked
            self.read.add(item.file)
        elif item.rule.level in self.levels:
            self.matches += 1
            if self.json:
                emit(_document(item))
            else:
                self.found.append(item)


def _document(hit: Hit) -> dict[str, object]:
    """Return a match as machines read it."""
    rule = hit.rule
    return {
        "rule_id": rule.id, "rule_title": rule.title, "level": rule.level, "time": hit.time,
        "file": hit.file, "record": hit.record, "event": hit.event,
    }  # fmt: skip


def _readable(time: str) -> str:
    """Return a time as the record says it; one that counts from 1970 as a date and hour in UTC."""
    if not _COUNTED.fullmatch(time):
        return time
    whole, _, part = time.partition(".")  # of seconds, else in thousandths of them, or smaller
    return to_iso(int((whole + part).ljust(13, "0")[:13]))


def _show(account: _Account, *, rules: int) -> None:
    """Show the rules that matched, gravest first, with how often, where and when."""
    by_rule: dict[tuple[str, ...], list[Hit]] = {}
    for hit in account.found:
        by_rule.setdefault((hit.rule.id, hit.rule.path, hit.rule.title), []).append(hit)
    ranked = sorted(by_rule.values(), key=lambda hits: (_LEVELS.index(hits[0].rule.level), -len(hits)))
    rows = []
    for hits in ranked:
        level = hits[0].rule.level or "none"
        times = [hit.time for hit in hits if hit.time]
        if all(_SORTABLE.match(time) for time in times):
            times.sort()
        files = sorted({hit.file for hit in hits})
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        first, last = (_readable(times[0]), _readable(times[-1])) if times else ("", "")
        rows.append((level, hits[0].rule.title, len(hits), first, last, f"{Path(files[0]).name}{more}"))
    if rows:
        show_table("matches", ("level", "rule", "count", "first", "last", "file"), rows, styles=_COLOURS)
    matches, records = counted(account.matches, "match"), counted(account.records, "record")
    console.print(
        f"{matches} of {counted(len(by_rule), 'rule')} in {records}; "
        f"{counted(rules, 'rule')}, {account.asked:,} of them for such logs"
    )
