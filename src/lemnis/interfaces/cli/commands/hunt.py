"""``lemnis hunt``: detections over files, without a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lemnis.interfaces.cli.output import JsonOption, console, emit, messages, report, show_table, warn

if TYPE_CHECKING:
    from lemnis.app.hunt import Hit

_LEVELS = ("critical", "high", "medium", "low", "informational", "")
_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_SHOWN = 20


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
    json: JsonOption = False,
) -> None:
    """Look for what the rules describe in event logs (EVTX, JSON lines, audit, syslog, web …, .gz, .zst).

    With --json one object a match: `rule_id`, `rule_title`, `level`, `time`, `file`, `record`, `event`. Exit
    code 0: nothing found, 1: something found, 2: some input or rule was bad (the rest was looked at).

    Example: lemnis hunt C/Windows/System32/winevt/Logs --rules sigma/rules/windows
    """
    from lemnis.app import hunt as hunting
    from lemnis.contracts.errors import UsageError
    from lemnis.contracts.events import Reject

    if level not in _LEVELS:
        raise UsageError(f"no level {level!r}", fix=f"one of {', '.join(_LEVELS[:-1])}")
    wanted = _LEVELS[: _LEVELS.index(level) + 1] if level else _LEVELS
    loaded = hunting.rules(rules or [])
    for problem in loaded.problems:
        report(problem)
    found: list[Hit] = []
    matches = bad = records = 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task(f"{len(loaded.rules):,} rules")
        for item in hunting.hunt(paths, loaded, source=source):
            if isinstance(item, Reject):
                bad += 1
                warn(f"{item.at}: {item.reason}")
            elif isinstance(item, hunting.Progress):
                records = item.records
                progress.update(task, description=f"{records:,} records · {matches:,} matches · {item.file}")
            elif item.rule.level in wanted:
                matches += 1
                if json:
                    emit(
                        {
                            "rule_id": item.rule.id, "rule_title": item.rule.title, "level": item.rule.level,
                            "time": item.time, "file": item.file, "record": item.record, "event": item.event,
                        }
                    )  # fmt: skip
                else:
                    found.append(item)
    if not json:
        _show(found, records=records, rules=len(loaded.rules))
    if bad or loaded.problems:
        warn(f"{bad:,} records or files and {len(loaded.problems):,} rules could not be used")
        raise typer.Exit(2)
    raise typer.Exit(1 if matches else 0)


def _show(found: list[Hit], *, records: int, rules: int) -> None:
    """Show the rules that matched, gravest first, with how often, where and when."""
    by_rule: dict[str, list[Hit]] = {}
    for hit in found:
        by_rule.setdefault(hit.rule.id or hit.rule.path, []).append(hit)
    ranked = sorted(by_rule.values(), key=lambda hits: (_LEVELS.index(hits[0].rule.level), -len(hits)))
    rows = []
    for hits in ranked:
        level = hits[0].rule.level or "none"
        times = sorted(hit.time for hit in hits if hit.time)
        files = sorted({hit.file for hit in hits})
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        first, last = (times[0], times[-1]) if times else ("", "")
        rows.append((level, hits[0].rule.title, len(hits), first, last, f"{Path(files[0]).name}{more}"))
    if rows:
        show_table("matches", ("level", "rule", "count", "first", "last", "file"), rows, styles=_COLOURS)
    console.print(f"{len(found):,} matches of {len(by_rule):,} rules in {records:,} records; {rules:,} rules")
