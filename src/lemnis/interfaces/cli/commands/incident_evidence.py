"""``lemnis incident evidence`` and ``verify``, ``lemnis journal checkpoint``: evidence and its proof."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.commands.incident import IncidentArgument
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit, visible

EvidenceArgument = Annotated[
    str, typer.Argument(metavar="EVIDENCE", help="Its name, its digest, or how that begins.")
]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; it goes into the chain of custody.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the groups ``incident`` and ``journal``."""
    incident = group(app, "incident")
    incident.command("verify")(verify)
    evidence = typer.Typer(help="Evidence of an incident, with its chain of custody.", no_args_is_help=True)
    for name, command in (("list", list_), ("add", add), ("get", get), ("transfer", transfer)):
        evidence.command(name)(command)
    incident.add_typer(evidence, name="evidence")
    group(app, "journal").command("checkpoint")(checkpoint)


def list_(incident: IncidentArgument, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List an incident's evidence and every act on it; with --json one object a piece.

    Example: lemnis incident evidence list in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import incidents_evidence
    from lemnis.incidents.custody import document
    from lemnis.interfaces.cli.incident_work_view import custody_table

    found = incidents_evidence.evidence(app.open_workspace(workspace), incident)
    if json:
        for one in found:
            emit(document(one))
        return
    console.print(custody_table(found))


def add(
    incident: IncidentArgument,
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Files to keep.")],
    reason: Annotated[str, typer.Option(help="What it shows, or where it is from.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Collect files as evidence: into the vault, by their digests, with who collected them.

    Example: lemnis incident evidence add in-0123456789abcdef memory.dump --reason "from the host, by hand"
    """
    from lemnis import app
    from lemnis.app import incidents_evidence

    opened = app.open_workspace(workspace)
    for file in files:
        digest = incidents_evidence.collect(opened, incident, file, actor=actor_name(actor), reason=reason)
        if json:
            emit({"id": digest, "title": file.name})
        else:
            console.print(f"{digest}  {visible(file.name)}", markup=False)


def get(
    incident: IncidentArgument,
    evidence: EvidenceArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; `-` for stdout.")],
    reason: WhyOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take a copy of evidence; that you did, and why, is written down first.

    Example: lemnis incident evidence get in-0123456789abcdef mail.eml --out copy.eml --reason "headers"
    """
    from lemnis import app
    from lemnis.app import incidents_evidence
    from lemnis.contracts.errors import Location, UsageError
    from lemnis.incidents.custody import document

    to_stdout = str(out) == "-"
    if not to_stdout and out.exists():
        raise UsageError("there is a file already", at=Location(str(out)), fix="choose another name")
    one, data = incidents_evidence.read(
        app.open_workspace(workspace), incident, evidence, actor=actor_name(actor), reason=reason
    )
    if to_stdout:
        sys.stdout.buffer.write(data)
        return
    out.write_bytes(data)
    if json:
        emit(document(one))
    else:
        console.print(f"{out}: {counted(len(data), 'byte')}, {one.digest}", markup=False)


def transfer(
    incident: IncidentArgument,
    evidence: EvidenceArgument,
    to: Annotated[str, typer.Option(help="To whom.")],
    reason: WhyOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write down that evidence was handed to someone.

    Example: lemnis incident evidence transfer in-0123456789abcdef mail.eml --to police --reason "case 17"
    """
    from lemnis import app
    from lemnis.app import incidents_evidence
    from lemnis.incidents.custody import document
    from lemnis.interfaces.cli.incident_work_view import custody_table

    one = incidents_evidence.transfer(
        app.open_workspace(workspace), incident, evidence, to=to, actor=actor_name(actor), reason=reason
    )
    if json:
        emit(document(one))
    else:
        console.print(custody_table([one]))


def verify(
    package: Annotated[Path, typer.Argument(metavar="FILE", help="The evidence package.")],
    key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The public key of whom you trust.")
    ] = None,
    fingerprint: Annotated[str, typer.Option(metavar="ID", help="The same by its id, sha256:…")] = "",
    json: JsonOption = False,
) -> None:
    """Check an evidence package offline, without a workspace; exit 1 and name what was changed.

    The package holds the same check as a program of its own, verify.py.

    Example: lemnis incident verify evidence.zip --key keys/soc.pub
    """
    from lemnis.incidents import verifier

    report = verifier.verify(str(package), key=key.read_bytes() if key else b"", fingerprint=fingerprint)
    if json:
        emit(
            {
                "ok": report.ok, "package": str(package), "incident": report.incident, "key": report.key,
                "trusted": report.trusted, "files": report.files, "entries": report.entries,
                "evidence": report.evidence,
                "checks": [{"name": name, "says": says} for name, says in report.checks],
                "problems": [{"name": one.name, "what": one.what} for one in report.problems],
            }
        )  # fmt: skip
    else:
        for name, says in report.checks:
            console.print(f"[green]✓[/] {name}: {says}")
        for one in report.problems:
            console.print(f"✗ {one.name}: {one.what}", style="bold red", markup=False)
        if report.ok and report.trusted is None:
            console.print(f"[yellow]whose key is it?[/] compare {report.key} with the one you were given")
    if not report.ok:
        raise typer.Exit(1)


def checkpoint(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write the signed checkpoint to this file.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Make none; check all that were made against the journal.")
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Sign the journal's head, with the root of the Merkle tree over all its entries.

    Keep it on another machine: with it nobody can shorten or rewrite the journal unseen. The key is made when
    it is first needed, in .lemnis/keys/journal.

    Example: lemnis journal checkpoint --out /mnt/safe/journal-2026-03-01.json
    """
    from lemnis import app
    from lemnis.app import incidents_evidence

    opened = app.open_workspace(workspace)
    if check:
        found = incidents_evidence.check(opened)
    else:
        made, _ = incidents_evidence.checkpoint(opened)
        found = [made]
        if out is not None:
            out.write_bytes(made.envelope)
    for one in found:
        point = one.point
        if json:
            emit({"id": one.digest, "entries": point.entries, "head": point.head, "root": point.root,
                  "at": to_iso(point.at), "key": one.keyid})  # fmt: skip
        else:
            console.print(
                f"{to_iso(point.at)}  {counted(point.entries, 'entry')}, head {point.head}, key {one.keyid}"
            )
    if check and not json:
        many = "checkpoint holds" if len(found) == 1 else "checkpoints hold"
        console.print(f"{len(found)} {many}")
