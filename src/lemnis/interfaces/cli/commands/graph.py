"""``lemnis graph``: what is there, what shares a cause, what lies between; in and out of files."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli.graph_drawing import Draw
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit, messages, warn

if TYPE_CHECKING:
    from lemnis import app as apps
    from lemnis.app.graph_collect import Account
    from lemnis.graph.impact import Cause
    from lemnis.interfaces.cli.graph_drawing import Link

_BAD_INPUT, _SHOWN = 2, 20
Name = Annotated[str, typer.Argument(metavar="NODE", help="kind:value, or the beginning of one only.")]
At = Annotated[
    str,
    typer.Option(
        "--at", metavar="TIME", help="As of a time (2026-03-01T12:00:00Z), a span back (24h); else now."
    ),
]
Ever = Annotated[bool, typer.Option("--ever", help="As of all times.")]
Drawing = Annotated[
    Draw | None, typer.Option("--draw", help="Print a picture instead: svg, or for others to draw.")
]


def register(app: typer.Typer) -> None:
    """Add the commands about the graph."""
    graph = group(app, "graph")
    graph.command("show")(show)
    graph.command("impact")(impact)
    graph.command("path")(path)
    graph.command("contradictions")(contradictions)
    graph.command("collect")(collect)
    graph.command("import")(import_)
    graph.command("export")(export)
    graph.command("stats")(stats)
    graph.command("tidy")(tidy)


def show(
    node: Name,
    at: At = "",
    ever: Ever = False,
    limit: Annotated[int, typer.Option(min=1, help="Edges of each relation and direction.")] = 20,
    draw: Drawing = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show an entity: its properties, what it is related to, and what of it is contradicted.

    With --json one document: `node`, `properties`, `at`, `out` and `in` (edges), `more` (how many edges are
    not told), `contradictions`.

    Example: lemnis graph show image:sha256:4be4 --at 2026-03-01
    """
    from lemnis.app import graph
    from lemnis.app.graph_files import edge_document
    from lemnis.interfaces.cli import graph_view

    opened, instant = _opened(workspace, at, ever=ever)
    found = graph.around(opened, node, instant, limit=limit)
    if draw:
        _draw(draw, graph_view.around_links(found), [found.node.entity])
    elif json:
        emit(
            {
                "node": str(found.node.entity), "properties": dict(found.node.properties), "at": instant,
                "out": [edge_document(edge) for edge in found.out],
                "in": [edge_document(edge) for edge in found.into],
                "more": sum(found.more.values()),
                "contradictions": [graph.contradiction_document(one) for one in found.contradictions],
            }
        )  # fmt: skip
    else:
        graph_view.around(found)


def impact(
    node: Name,
    at: At = "",
    ever: Ever = False,
    limit: Annotated[int, typer.Option(min=0, help="How many of each cause are named.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="Name all of them.")] = False,
    draw: Drawing = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Tell what else is exposed to the same cause: image, package, module, role, pattern, line.

    Of a cause (a package, an image): what is exposed to it. Of anything else (a workload): what is exposed to
    it, and to the causes that it relies on. With --json one document: `node`, `at`, `causes` with `cause`,
    `way` (edges), `counts` by kind, `affected` (`id`, `hops`, `through`, `strength` of the weakest hop).

    Example: lemnis graph impact package:pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1
    """
    from lemnis.app import graph
    from lemnis.interfaces.cli import graph_view

    opened, instant = _opened(workspace, at, ever=ever)
    with messages.status("walking …"):
        found = graph.impact(opened, node, instant, limit=None if every else limit)
    if draw:
        _draw(draw, list(graph_view.impact_links(found)), [found.entity])
    elif json:
        causes = [_cause(one) for one in found.causes]
        emit({"node": str(found.entity), "at": instant, "causes": causes, "more": found.more})
    else:
        graph_view.impact(found)


def path(
    one: Annotated[str, typer.Argument(metavar="A", help="kind:value, or the beginning of one only.")],
    other: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    strongest: Annotated[
        bool, typer.Option("--strongest", help="The one whose weakest hop is strongest, however long.")
    ] = False,
    at: At = "",
    ever: Ever = False,
    depth: Annotated[int, typer.Option(min=1, max=50, help="Hops at most.")] = 12,
    draw: Drawing = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Find the shortest way between two entities; of several, the one whose weakest hop is strongest.

    Exit code 1 if there is none. With --json one object a hop, as of `lemnis incident trace`, with `back`
    where the edge is walked against its direction.

    Example: lemnis graph path workload:prod/shop commit:9f2c1e7 --draw mermaid
    """
    from lemnis.app import graph
    from lemnis.app.graph_files import edge_document
    from lemnis.interfaces.cli import graph_view
    from lemnis.interfaces.cli.graph_drawing import links

    opened, instant = _opened(workspace, at, ever=ever)
    with messages.status("walking …"):
        first, last, found = graph.path(opened, one, other, instant, strongest=strongest, depth=depth)
    if found.steps is None:
        bound = " within the bounds; --depth goes further" if found.more else ""
        console.print(f"no way between {first} and {last} {graph_view.as_of(instant)}{bound}", markup=False)
        raise typer.Exit(1)
    if draw:
        _draw(draw, links(step.edge for step in found.steps), [first, last])
    elif json:
        for edge, back in found.steps:
            emit({**edge_document(edge), "back": back})
    else:
        graph_view.path(found.steps, first)


def contradictions(
    nodes: Annotated[list[str] | None, typer.Argument(metavar="[NODE…]", help="Only of these.")] = None,
    at: At = "",
    ever: Ever = False,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List what is contradicted: an image that its label and its attestation say was built of two commits.

    Exit code 1 if there is any. With --json one object a line: `source`, `relation`, `believed` (null where
    no claim is the strongest), `claims` with their proofs, `says`.

    Example: lemnis graph contradictions
    """
    from lemnis.app import graph
    from lemnis.interfaces.cli import graph_view

    opened, instant = _opened(workspace, at, ever=ever)
    with messages.status("comparing …"):
        found = graph.contradictions(opened, nodes or (), instant, limit=limit)
    if json:
        for one in found:
            emit(graph.contradiction_document(one))
    elif found:
        graph_view.told_of(found)
    else:
        console.print("nothing is contradicted")
    if found:
        raise typer.Exit(1)


def collect(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH…]", help="Files; see below.")] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="What they are, where their content does not say it.")
    ] = "",
    scope: Annotated[
        str, typer.Option("--scope", metavar="NAME", help="Which cluster, stack or account they show.")
    ] = "",
    about: Annotated[
        str, typer.Option("--about", metavar="NODE", help="What a bill of materials is about: image:sha256:…")
    ] = "",
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="As of when they count, where they do not say it.")
    ] = "",
    whole: Annotated[
        bool, typer.Option("--whole", help="They show all there is, also where of a kind they show nothing.")
    ] = False,
    keep_secrets: Annotated[
        bool, typer.Option("--keep-secrets", help="Keep files in the vault that hold secrets.")
    ] = False,
    findings: Annotated[
        bool, typer.Option("--findings", help="The findings that this workspace knows.")
    ] = False,
    lessons: Annotated[
        bool, typer.Option("--lessons", help="Its lessons with their incidents, and its policies.")
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Collect what runs, and on what, from inventories and records.

    Recognised by content: what `kubectl get -A -o json` shows, a Terraform state or plan as JSON, CycloneDX
    and SPDX, records of deployments, inventories of AWS. A newer snapshot ends what is gone; the same again
    changes nothing. With --json one object a file: `file`, `kind`, `scope`, `digest`, `kept`, `at`, `read`,
    `edges`, `new`, `ended`, `late`, `problems`, `notes`. Exit code 2 if something could not be read.

    Example: lemnis graph collect cluster.json terraform.tfstate --scope prod
    """
    from lemnis import app
    from lemnis.app import graph_collect, graph_learnt
    from lemnis.store.search import instant

    if not (paths or findings or lessons):
        raise UsageError("nothing to collect", fix="name files, --findings or --lessons")
    opened = app.open_workspace(workspace)
    moment = instant(at, opened.clock.now()) if at else None
    options = graph_collect.Options(kind, scope, about, moment, whole=whole, keep_secrets=keep_secrets)
    bad = False
    with messages.status("collecting …"):
        learnt = (graph_learnt.collect(opened) for _ in range(lessons))
        for one in chain(graph_collect.every(opened, paths or (), options, findings=findings), learnt):
            bad = bad or bool(one.problems)
            if json:
                emit(one.document())
            else:
                _collected(one)
    if bad:
        raise typer.Exit(_BAD_INPUT)


def _collected(one: Account) -> None:
    console.print(one.line(), markup=False)
    for told in (*one.notes, *one.problems[:_SHOWN]):
        warn(f"{one.name}: {told}")
    if len(one.problems) > _SHOWN:
        warn(f"{one.name}: {len(one.problems) - _SHOWN:,} more")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines of nodes and edges.")],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Load nodes and edges from JSON lines, as `export` writes them.

    An edge: `{"from": "workload:prod/shop", "to": "image:sha256:…", "relation": "instance_of", "method":
    "cmdb", "strength": "recorded", "evidence": {}, "valid_from": "2026-03-01", "valid_to": null}`. A node:
    `{"node": "data_set:orders", "properties": {"labels": ["email"]}}`. Exit code 2 if a line was refused.

    Example: lemnis graph import edges.ndjson
    """
    from lemnis import app
    from lemnis.app import graph_files

    with messages.status(f"importing {file.name}") as status:
        found = graph_files.load(
            app.open_workspace(workspace),
            file,
            done=lambda so_far: status.update(f"importing {file.name}: {counted(so_far.read, 'line')}"),
        )
    for reject in found.rejects[:_SHOWN]:
        warn(f"{reject.at}: {reject.reason}")
    if len(found.rejects) > _SHOWN:
        warn(f"refused: {counted(len(found.rejects) - _SHOWN, 'more line')}")
    done = found.loaded
    if json:
        emit(
            {"read": found.read, "rejected": len(found.rejects), "edges": done.edges, "nodes": done.nodes,
             "new": done.new}
        )  # fmt: skip
    else:
        console.print(
            f"{counted(found.read, 'line')}: {counted(done.edges, 'edge')}, "
            f"{counted(done.nodes, 'node')} with properties, {counted(done.new, 'entity')} new, "
            f"{counted(len(found.rejects), 'line')} refused"
        )
    if found.rejects:
        raise typer.Exit(_BAD_INPUT)


def export(at: At = "", json: JsonOption = False, workspace: WorkspaceOption = None) -> None:  # noqa: ARG001 - it is JSON anyway
    """Print the graph as JSON lines: nodes that have properties, then edges; of all times, or as of one.

    With --json the same.

    Example: lemnis graph export > graph.ndjson
    """
    from lemnis.app import graph_files

    opened, instant = _opened(workspace, at, ever=not at)
    for one in graph_files.exported(opened, instant):
        emit(one)


def stats(
    at: At = "", ever: Ever = False, json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Count entities by kind, and edges by relation, method and strength.

    With --json one document: `nodes`, `edges`, `evidence`, `kinds`, `relations`.

    Example: lemnis graph stats --at 2026-03-01
    """
    from lemnis.app import graph
    from lemnis.interfaces.cli import graph_view

    opened, instant = _opened(workspace, at, ever=ever)
    found = graph.stats(opened, instant)
    if json:
        said = [
            {"relation": one.relation, "method": one.method, "strength": one.strength.name.lower(),
             "edges": one.edges, "known": one.known}
            for one in found.said
        ]  # fmt: skip
        emit(
            {"nodes": found.nodes, "edges": found.edges, "evidence": found.evidence, "kinds": found.kinds,
             "relations": said}
        )  # fmt: skip
    else:
        graph_view.stats(found, instant)


def tidy(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Remove entities that no edge leads to or leaves and that have no properties, and evidence of no edge.

    Example: lemnis graph tidy
    """
    from lemnis import app
    from lemnis.app import graph

    with messages.status("tidying …"):
        nodes, evidence = graph.tidy(app.open_workspace(workspace))
    if json:
        emit({"nodes": nodes, "evidence": evidence})
    else:
        console.print(f"{counted(nodes, 'entity')} and {counted(evidence, 'piece')} of evidence removed")


def _opened(workspace: Path | None, at: str, *, ever: bool) -> tuple[apps.Workspace, int | None]:
    from lemnis import app
    from lemnis.store.search import instant

    if at and ever:
        raise UsageError("--at and --ever exclude each other", fix="say one of them")
    opened = app.open_workspace(workspace)
    now = opened.clock.now()
    return opened, None if ever else instant(at, now) if at else now


def _draw(how: Draw, some: list[Link], focus: list[Any]) -> None:
    from lemnis.interfaces.cli.graph_drawing import MOST, drawn

    if len(some) > MOST:
        warn(f"{MOST} of {len(some):,} lines are drawn")
    sys.stdout.write(drawn(how, some, focus))


def _cause(one: Cause) -> dict[str, Any]:
    from lemnis.app.graph_files import edge_document

    return {
        "cause": str(one.entity),
        "way": [{**edge_document(edge), "back": back} for edge, back in one.way],
        "counts": dict(one.counts),
        "affected": [
            {
                "id": str(each.entity), "hops": each.hops, "through": str(each.through),
                "strength": each.strength.name.lower(),
            }
            for each in one.affected
        ],
        "more": one.more,
    }  # fmt: skip
