"""``lemnis incident trace``: from what was seen running back to the line of code and its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.padding import Padding

from lemnis.contracts.alerts import EntityKind
from lemnis.contracts.clock import to_iso
from lemnis.contracts.provenance import Hop, Strength
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit, messages

if TYPE_CHECKING:
    from lemnis.app.trace import Chain, Trace

STYLES = {
    Strength.BROKEN: "bold red", Strength.NAME_MATCH: "yellow", Strength.LABEL: "cyan",
    Strength.RECORDED: "blue", Strength.OBSERVED: "green", Strength.VERIFIED: "bold green",
}  # fmt: skip
_SHORT, _MOST = 12, 4
_LISTS = {"did": "did", "way": "known by", "also": "also", "several": "as well in"}
"""Lists in a hop's evidence, and what a person calls them."""


def register(app: typer.Typer) -> None:
    """Add the command to the group ``incident``."""
    group(app, "incident").command("trace")(trace)


def trace(
    subject: Annotated[str, typer.Argument(metavar="ID", help="An incident, or an alert.")],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Trace an incident to the line of code and its owner; exit 1 where a hop does not hold.

    Each hop names how it was found, how far that can be trusted (name_match, label, recorded, observed,
    verified; or broken, and why) and its evidence: event ids, digests in the vault, places in files.

    Example: lemnis incident trace in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import trace as tracing

    with messages.status("tracing …"):
        found = tracing.trace(app.open_workspace(workspace), subject)
    if json:
        for hop in found.hops:
            emit(document(hop))
    else:
        show(found)
    if not found.holds:
        raise typer.Exit(1)


def document(hop: Hop) -> dict[str, Any]:
    """Return a hop for machines."""
    edge = hop.edge
    return {
        "from": str(edge.source),
        "to": str(edge.target),
        "relation": edge.relation,
        "method": edge.method,
        "strength": edge.strength.name.lower(),
        "evidence": dict(edge.evidence),
        **({"broken": hop.broken} if hop.broken else {}),
    }


def show(found: Trace) -> None:
    """Print the chains for people."""
    for chain in found.chains:
        console.print(f"\n[bold]{escape(found.subject)}[/]  {escape(chain.alert.title)}")
        seen = (
            f"{to_iso(chain.first.process.at)}  {chain.first.process.command}"
            if chain.first
            else to_iso(chain.alert.time)
        )
        console.print(f"[dim]{escape(seen)}[/]\n")
        _entity(str(chain.hops[0].edge.source))
        for hop in chain.hops:
            _hop(hop)
        if chain.others:
            console.print(f"\n[dim]{counted(chain.others, 'more alert')} about this container[/]")
        _end(chain)
    for gap in found.gaps:
        console.print(f"\n[yellow]{escape(gap.fingerprint)}[/] {escape(gap.rule_id)}: {escape(gap.fix)}")


def _end(chain: Chain) -> None:
    """Say where the chain ended."""
    if not chain.holds:
        console.print(f"\n[bold red]✗ broken at {escape(chain.hops[-1].edge.relation)}[/]")
        return
    source = chain.source
    if source is None:
        return
    console.print(f"\n  deployed    [bold]{source.deployed[:_SHORT]}[/]")
    console.print(f"  introduced  [bold]{source.culprit[:_SHORT]}[/]")
    console.print(
        f"[bold green]✓[/] {counted(len(chain.hops), 'hop')}, the weakest "
        f"[{STYLES[_weakest(chain)]}]{_weakest(chain).name.lower()}[/]"
    )


def _weakest(chain: Chain) -> Strength:
    return min(hop.edge.strength for hop in chain.hops)


def _hop(hop: Hop) -> None:
    """Print one hop: the relation and its strength on the line, then where it leads, then its evidence."""
    edge = hop.edge
    style = STYLES[edge.strength]
    words = edge.relation.replace("_", " ")
    side = "  [dim](of the line)[/]" if edge.relation == "owned_by" else ""
    console.print(
        f"  [dim]│[/]\n  [{style}]▼[/] {words} [{style}]{edge.strength.name.lower()}[/] "
        f"[dim]by {escape(edge.method.replace('_', ' '))}[/]{side}"
    )
    if hop.broken:
        console.print(Padding(f"[bold red]✗ {escape(hop.broken)}[/]", (0, 0, 0, 4), expand=False))
    else:
        _entity(str(edge.target))
    for line in evidence(hop):
        console.print(Padding(f"[dim]{line}[/]", (0, 0, 0, 4), expand=False))


def _entity(text: str) -> None:
    kind, _, value = text.partition(":")
    if kind in {EntityKind.CONTAINER, EntityKind.COMMIT}:
        value = value[:_SHORT]
    value = _short(value)
    console.print(f"[bold]●[/] [bold]{escape(value)}[/] [dim]{kind.replace('_', ' ')}[/]")


def _short(text: str) -> str:
    """Cut a digest to what a person compares, wherever it stands in a text."""
    head, mark, value = text.partition("sha256:")
    return f"{head}{mark}{value[:_SHORT]}…" if len(value) > _SHORT else text


def evidence(hop: Hop) -> list[str]:
    """Return what a person wants to know of a hop's evidence, as lines of markup."""
    facts: dict[str, Any] = dict(hop.edge.evidence)
    lines = []
    if facts.get("chain"):
        lines.append(escape(" ← ".join(facts["chain"])))
    lines += [
        f"{escape(one['path'])} from {escape(one['client'] or '?')}: "
        + (
            f"[yellow]{escape(one['text'])}[/] stands in the command line"
            if one["text"]
            else "shortly before"
        )
        + f" ({one['event']})"
        for one in facts.get("requests", ())[:2]
    ]
    if facts.get("calls"):
        lines.append(escape(f"{facts['route']} → " + " → ".join(facts["calls"])))
    if facts.get("text_in_command"):
        lines.append(f"the code's own text was seen to be run: [yellow]{escape(facts['text_in_command'])}[/]")
    if facts.get("text") and not facts.get("author"):
        lines.append(f"[white]{escape(facts['text'])}[/]")
    lines += [escape(", ".join(facts["findings"]))] if facts.get("findings") else []
    lines += [f"[yellow]{escape(str(one))}[/]" for key in ("notes", "weaker") for one in facts.get(key, ())]
    lines += [f"[yellow]{escape(facts['rewritten'])}[/]"] if facts.get("rewritten") else []
    other = "also built" if hop.edge.relation.startswith("built_") else "another says"
    lines += [f"[red]{other}: {escape(str(one))}[/]" for one in facts.get("contradicted_by", ())]
    lines += [f"[bold red]{escape(facts['contradicts'])}[/]"] if facts.get("contradicts") else []
    if facts.get("author"):
        behind = facts["commits_before_deployed"]
        lines.append(escape(f"{facts['subject']} — {facts['author']}, {facts['at'][:10]}"))
        count = f"{behind} commit{'' if behind == 1 else 's'} before" if behind else "itself"
        lines.append(f"{count} the deployed {facts['deployed'][:_SHORT]}")
    keys = ["workload", "image", "file", "scanners"] if not facts.get("text") else ["scanners"]
    keys += ["object", "attribute"]
    keys += ["repository"] if "repository" in facts else ["builder", "attestation"]
    lines += [f"{key} {escape(_short(str(facts[key])))}" for key in keys if facts.get(key)]
    lines += [
        f"{said}: {escape(', '.join(map(str, facts[key][:_MOST])))}"
        for key, said in _LISTS.items()
        if isinstance(facts.get(key), list) and facts[key]
    ]
    if facts.get("events"):
        rest = len(facts["events"]) - 2
        lines.append("events " + ", ".join(facts["events"][:2]) + (f" and {rest} more" if rest > 0 else ""))
    return lines
