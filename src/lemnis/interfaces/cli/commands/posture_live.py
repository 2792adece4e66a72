"""``lemnis posture collect``, ``check`` and ``paths``: clusters, states of Terraform, accounts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli import posture_view
from lemnis.interfaces.cli.graph_drawing import Draw
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    messages,
    show_table,
    warn,
)

if TYPE_CHECKING:
    from lemnis.app.graph_collect import Account
    from lemnis.app.posture_paths import AttackPath, Found

_FOUND, _BAD_INPUT, _UNKNOWN = 1, 2, 3
_TOLD = 20


def register(app: typer.Typer) -> None:
    """Add the commands about what was collected."""
    posture = group(app, "posture")
    posture.command("collect")(collect)
    posture.command("check")(check)
    posture.command("paths")(paths)


def collect(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, all of one moment.")],
    scope: Annotated[
        str, typer.Option("--scope", metavar="NAME", help="Which cluster, stack or account they show.")
    ] = "",
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="As of when they count, where they do not say it.")
    ] = "",
    keep_secrets: Annotated[
        bool, typer.Option("--keep-secrets", help="Keep files that hold secrets, to judge them too.")
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Collect what a cluster, a stack of Terraform or an account of AWS holds, for `check` and `paths`.

    The files go into the graph as of `lemnis graph collect`, and into the vault. Those of one call about the
    same cluster, stack or account are one snapshot, which takes the place of the one before. With --json one
    object a file, as of `lemnis graph collect`. Exit code 2 if something could not be read.

    Example: lemnis posture collect cluster.json --scope prod-eu
    """
    from lemnis import app
    from lemnis.app import graph_collect, posture_collect
    from lemnis.store.search import instant

    opened = app.open_workspace(workspace)
    moment = instant(at, opened.clock.now()) if at else None
    options = graph_collect.Options(scope=scope, at=moment, keep_secrets=keep_secrets)
    bad = False
    with messages.status("collecting …"):
        for one in posture_collect.collect(opened, paths, options):
            bad = bad or bool(one.problems)
            _collected(one, json=json)
    if bad:
        raise typer.Exit(_BAD_INPUT)


def _collected(one: Account, *, json: bool) -> None:
    if json:
        emit(one.document())
        return
    console.print(one.line(), markup=False)
    for told in (*one.notes, *one.problems[:_TOLD]):
        warn(f"{one.name}: {told}")
    if len(one.problems) > _TOLD:
        warn(f"{one.name}: {len(one.problems) - _TOLD:,} more")


def check(
    scope: Annotated[
        str, typer.Option("--scope", metavar="NAME", help="Only this cluster, stack or account.")
    ] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Judge what was collected last by the checks that manifests and plans are judged by.

    What fails goes into the lake as OCSF Compliance Findings. Exit 1 if something is wrong, 3 if nothing is
    but not all could be looked at. With --json one document: `{"verdicts", "health", "new"}`.

    Example: lemnis posture check --scope prod-eu
    """
    from lemnis import app
    from lemnis.app import posture_collect

    opened = app.open_workspace(workspace)
    library = app.library(opened)
    with messages.status("judging …") as status:
        found = posture_collect.check(
            opened, library, scope=scope, progress=lambda name: status.update(f"judging {name}")
        )
    posture_view.show(found, posture_collect.catalogue(library), json=json)


def paths(
    severity: Annotated[
        str, typer.Option(metavar="LEVEL", help="By weaknesses of at least this severity.")
    ] = "high",
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="As of a time, or a span back (24h); else now.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many of the gravest.")] = 100,
    draw: Annotated[
        Draw | None, typer.Option("--draw", help="Print a picture instead: svg, or for others to draw.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Find the ways from the internet through a weakness of a workload to personal data.

    Each hop is an edge of the graph, with its evidence. Exit 1 if there are any, 3 if the graph knows no
    workload. With --json one object a path: `entry`, `workload`, `data`, `personal` (yes, or unknown where
    nobody said what is in the data set), `labels`, `weakness`, `severity`, `exploited`, `other_weaknesses`,
    `strength` of the weakest hop, `hops`.

    Example: lemnis posture paths --draw mermaid
    """
    from lemnis import app
    from lemnis.app import posture_paths
    from lemnis.interfaces.cli.graph_drawing import drawn, links
    from lemnis.store.search import instant

    level = severity.upper()
    if level not in Severity.__members__:
        raise UsageError(
            f"no severity {severity!r}", fix=f"one of {', '.join(s.name.lower() for s in Severity)}"
        )
    opened = app.open_workspace(workspace)
    now = opened.clock.now()
    with messages.status("walking …"):
        posture_paths.refresh(opened)
        found = posture_paths.paths(opened, instant(at, now) if at else now, least=Severity[level])
    some = found.paths[:limit]
    if draw:
        ends = [end for one in some for end in (one.entry.edge.target, one.data)]
        edges = [step.edge for one in some for step in one.steps]
        sys.stdout.write(drawn(draw, links(edges), list(dict.fromkeys(ends))))
    elif json:
        for one in some:
            emit(one.document())
    else:
        _show(found, some)
    if len(found.paths) > limit:
        warn(f"{len(found.paths) - limit:,} more; --limit tells them")
    if found.paths:
        raise typer.Exit(_FOUND)
    if not found.workloads:
        warn("the graph knows no workload, so nothing is known of paths (`lemnis posture collect FILE`)")
        raise typer.Exit(_UNKNOWN)


def _show(found: Found, some: tuple[AttackPath, ...]) -> None:
    workloads = counted(found.workloads, "workload")
    told = f"{workloads}, {found.outside:,} reached from outside, {found.weak:,} of them weak"
    if not some:
        console.print(f"no path to personal data: {told}", markup=False)
        return
    rows = (
        (
            one.weakness.severity.name.lower() + (", exploited" if one.weakness.exploited else ""),
            str(one.entry.edge.target.value), one.workload.value,
            one.weakness.title + (f" and {one.others} more" if one.others else ""),
            one.data.value, ", ".join(one.labels) or "unknown what is in it",
            one.strength.name.lower().replace("_", " "),
        )
        for one in some
    )  # fmt: skip
    columns = ("severity", "entry", "workload", "weakness", "data set", "personal data", "weakest hop")
    show_table(f"{counted(len(found.paths), 'path')}; {told}", columns, rows)
    for number, one in enumerate(some[:_TOLD], 1):
        console.print(f"{number}. {one.entry.edge.target}", markup=False)
        for edge, back in one.steps:
            arrow, other = ("◂", edge.source) if back else ("▸", edge.target)
            evidence = ", ".join(
                f"{name} {edge.evidence[name]}" for name in ("digest", "position") if edge.evidence.get(name)
            )
            console.print(
                f"   {arrow} {edge.relation.replace('_', ' ')} {other} "
                f"({edge.method}, {edge.strength.name.lower()}; {evidence})",
                markup=False,
            )
