"""``lemnis sources``: log sources, their mapping tests, their health."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lemnis.contracts.clock import span, to_iso
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit, show_table, warn

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME…]", help="Sources; all unless given.")
]
_FAILED = 1


def register(app: typer.Typer) -> None:
    """Add the commands about sources."""
    sources = group(app, "sources")
    sources.command("list")(list_sources)
    sources.command("test")(check)
    sources.command("health")(health)


def list_sources(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the sources: their names, titles, and the OCSF classes that their records become.

    Works without a workspace, on the built-in sources.

    Example: lemnis sources list
    """
    from lemnis import app
    from lemnis.app import sources as asking

    found = asking.listing(app.library(app.around(workspace)))
    if json:
        for one in found:
            emit(asdict(one))
        return
    rows = ((s.name, s.title, s.parser, ", ".join(s.classes), s.samples) for s in found)
    show_table(f"{len(found)} sources", ("name", "title", "parser", "becomes", "samples"), rows)


def check(
    names: NamesArgument = None,
    update: Annotated[bool, typer.Option("--update", help="Write what is found as golden.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Map the samples of each source and compare with the golden events beside them.

    Says which records were rejected and which fields went unmapped. `--update` REWRITES the golden files:
    read the difference before you commit it. Exit code 1 if a sample does not give its golden events.

    Example: lemnis sources test linux_audit
    """
    from lemnis import app
    from lemnis.app import sources as asking

    failed = False
    rows = []
    for one in asking.check(app.library(app.around(workspace)), names or (), update=update):
        failed = failed or one.passed < len(one.cases)
        if json:
            left = sorted({name for case in one.cases for name in case.unmapped})
            emit(
                {"name": one.name, "cases": len(one.cases), "passed": one.passed,
                 "mapped_percent": one.mapped_percent, "unmapped": left}
            )  # fmt: skip
        else:
            rows.append((one.name, len(one.cases), one.passed, f"{one.mapped_percent:g} %"))
        for case in one.cases:
            for why in case.why:
                warn(f"{one.name}/samples/{case.sample}: {why}")
            if case.unmapped and not json:
                console.print(f"[dim]{one.name}/{case.sample} unmapped: {', '.join(case.unmapped)}[/dim]")
    if rows:
        show_table("mapping tests", ("source", "cases", "passed", "mapped"), rows)
    if update:
        warn("the golden files were REWRITTEN from what the mappings give now; review them before you commit")
    if failed:
        raise typer.Exit(_FAILED)


def health(
    silent_after: Annotated[
        float, typer.Option(min=0, help="Hours without events after which a source is silent.")
    ] = 24,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show how the sources do: newest event, how old it is, rejects with their reasons, silent or not.

    Exit code 1 if a source is silent.

    Example: lemnis sources health --silent-after 6
    """
    from lemnis import app
    from lemnis.app import sources as asking

    found = asking.health(app.open_workspace(workspace), silent_after=int(silent_after * 3_600_000))
    if json:
        for one in found:
            emit(asdict(one))
    else:
        rows = (
            (h.name or "(unknown)", f"{h.events:,}", "" if h.last is None else to_iso(h.last),
             "" if h.lag is None else span(h.lag), h.rejects, "silent" if h.silent else "speaks",
             ", ".join(f"{reason} ({count})" for reason, count in h.reasons.items()))
            for h in found
        )  # fmt: skip
        show_table("sources", ("source", "events", "newest", "age", "rejects", "state", "reasons"), rows)
    if any(h.silent and h.name for h in found):
        raise typer.Exit(_FAILED)
