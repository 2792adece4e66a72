"""``lemnis sources rejects`` and ``replay``: records that were not taken, and taking them after a fix."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemnis.contracts.clock import to_iso
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
    from lemnis.store.deadletters import DeadGroup

_BAD_INPUT = 2
_SHOWN = 400


def register(app: typer.Typer) -> None:
    """Add the commands about dead letters."""
    sources = group(app, "sources")
    sources.command("rejects")(rejects)
    sources.command("replay")(replay)


def rejects(
    source: Annotated[str | None, typer.Option(help="Of this source only.")] = None,
    reason: Annotated[str, typer.Option(help="Only reasons that contain this text.")] = "",
    raw: Annotated[
        bool, typer.Option("--raw", help="Show the beginnings of the records: they may hold secrets.")
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the dead letters: records that were not taken, by source and reason, with examples.

    They are kept raw, as they came, in the workspace's state, for 30 days and up to 256 MB over all sources
    (`dead_letters: {days: 30, megabytes: 256}` in lemnis.yaml); beyond that the oldest of the source with
    most are forgotten, and counted. What has its record and place can be taken after a fix: `lemnis sources
    replay`. A file that no source recognised is not kept: ingest it again.

    Example: lemnis sources rejects --source acme_proxy --reason time
    """
    from lemnis import app
    from lemnis.app import deadletters, receiving

    opened = app.open_workspace(workspace)
    found = deadletters.listing(opened, source, reason)
    forgotten = {one.source: one.forgotten for one in found.counts}
    aside = Counter(
        (one.delivery.source, one.reason)
        for one in receiving.given_up(opened, [source] if source else ())
        if reason.casefold() in one.reason.casefold()
    )
    if json:
        for one in found.groups:
            emit(_told(one, forgotten.get(one.source, 0), raw=raw))
        for (name, why), count in aside.items():
            emit({"name": name, "reason": why, "deliveries": count})
        return
    rows = (
        (one.source or "(unknown)", one.reason, f"{one.count:,}", f"{one.whole:,}", to_iso(one.first),
         to_iso(one.last), str(one.examples[0].at) if one.examples else "")
        for one in found.groups
    )  # fmt: skip
    columns = ("source", "reason", "records", "can be replayed", "first", "last", "for example")
    show_table(f"not taken: {counted(sum(one.count for one in found.groups), 'record')}", columns, rows)
    if raw:
        for one in found.groups:
            for letter in one.examples:
                console.print(f"{letter.at}: {_begin(letter.raw)}", markup=False)
    for (name, why), count in aside.items():
        whole = counted(count, "whole delivery")
        warn(f"put aside: {whole} of {name}: {why} (`lemnis sources replay {name}`)")
    for name, count in forgotten.items():
        if count:
            older = counted(count, "older record")
            warn(f"forgotten, for age or want of room: {older} of {name or '(unknown)'}")


def _told(one: DeadGroup, forgotten: int, *, raw: bool) -> dict[str, Any]:
    examples = [
        {"at": str(letter.at), "reason": letter.reason, "content": letter.content,
         **({"raw": _begin(letter.raw)} if raw else {})}
        for letter in one.examples
    ]  # fmt: skip
    return {
        "name": one.source, "reason": one.reason, "count": one.count, "replayable": one.whole,
        "bytes": one.bytes, "first": one.first, "last": one.last, "forgotten": forgotten,
        "examples": examples,
    }  # fmt: skip


def _begin(raw: bytes) -> str:
    return raw[:_SHOWN].decode("utf-8", "backslashreplace")


def replay(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Sources; all unless given.")
    ] = None,
    detect: Annotated[bool, typer.Option("--detect/--no-detect", help="Run detections on the way.")] = True,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run dead letters through the present content again, after a mapping or parser was fixed.

    What is taken now enters the lake as the event that it would have been, detections see it, and it leaves
    the dead letters; the rest stays, with the present reason. It can be stopped, killed and run again at any
    time. Exit code 2 if any record is still not taken. Whole deliveries that `lemnis serve` put aside (of no
    source, or of a mapping that always failed) go back into its inbox, and are worked on while it runs.

    Example: lemnis sources replay acme_proxy
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from lemnis import app
    from lemnis.app import deadletters, ingest

    opened = app.open_workspace(workspace)
    watcher = ingest.watcher(opened) if detect else None
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as bar:
        task = bar.add_task("", total=None)
        done = deadletters.replay(
            opened, names or (), watcher=watcher,
            progress=lambda count, whole: bar.update(task, completed=count, total=whole),
        )  # fmt: skip
    counts = {
        "read": done.read, "accepted": done.done.accepted, "rejected": done.rejected,
        "duplicates": done.done.duplicates, "left": done.left,
        "deliveries": deadletters.revive(opened, names or ()),
    }  # fmt: skip
    if json:
        emit(counts)
    else:
        console.print(
            f"{counted(done.read, 'record')} tried again: {done.done.accepted:,} accepted, "
            f"{done.rejected:,} still rejected, {done.done.duplicates:,} known already"
        )
        if counts["deliveries"]:
            console.print(
                f"in the inbox again: {counted(counts['deliveries'], 'delivery')}; `lemnis serve` works on it"
            )
        if done.left:
            warn(f"{done.left:,} have no record that could be tried: ingest their files again")
    if done.rejected or done.left:
        raise typer.Exit(_BAD_INPUT)
