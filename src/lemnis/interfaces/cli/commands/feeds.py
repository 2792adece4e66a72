"""``lemnis content pull|pack|feeds``: advisories, what is exploited and how likely, as signed data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lemnis.contracts.errors import UsageError
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
    from lemnis.app.feeds import Feed

FeedArgument = Annotated[str, typer.Argument(metavar="FEED", help="osv, kev or epss.")]


def register(app: typer.Typer) -> None:
    """Add the commands about feeds."""
    content = group(app, "content")
    content.command("pull")(pull)
    content.command("pack")(pack)
    content.command("feeds")(feeds_)


def pull(
    feed: FeedArgument,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from", metavar="WHERE", help="A folder, file, zip, bundle or address; again for more."
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The public key of the bundle's maker, then trusted.")
    ] = None,
    until: Annotated[
        str, typer.Option(metavar="DATE", help="The day that the data are of, where they do not say it.")
    ] = "",
    older: Annotated[bool, typer.Option("--older", help="Take data older than those here.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Bring in advisories (osv), CISA's catalogue (kev) or probabilities (epss); they are signed and dated.

    Without --from they are fetched from their publisher. They go into the workspace, or into LEMNIS_FEEDS.

    Example: lemnis content pull osv --from ~/advisory-database
    """
    from lemnis import app
    from lemnis.app import feeds
    from lemnis.contracts.clock import from_iso

    opened = app.around(workspace)
    try:
        day = from_iso(until) if until else None
    except ValueError as error:
        raise UsageError(f"--until {until!r} is no date", fix="such as 2026-08-16") from error
    now = _now(opened)
    with messages.status(f"reading {feed}"):
        done = feeds.pull(feeds.folder(opened), feed, source or [], now=now, key=key, until=day, older=older)
    for left_out in done.errors:
        warn(left_out)
    if done.rejected > len(done.errors):
        warn(f"{done.rejected - len(done.errors)} more could not be read")
    if json:
        emit({**_told(done.feed, now), "rejected": done.rejected, "unchanged": done.unchanged})
    else:
        news = "; its publisher has nothing newer" if done.unchanged else ""
        console.print(f"{feed}: {done.feed.told(now)}; {done.rejected:,} left out{news}")


def pack(
    feed: FeedArgument,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="Where the bundle goes.")],
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The private key to sign with; else as it was signed here."),
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a feed as one signed file, for a place without a network.

    There it is taken with `content pull FEED --from FILE --key FILE.pub`; `lemnis attest keygen` makes keys.

    Example: lemnis content pack osv -o osv.zip --key ~/.lemnis/publisher
    """
    from lemnis import app
    from lemnis.app import feeds

    opened = app.around(workspace)
    packed = feeds.pack(feeds.folder(opened), feed, out, key)
    if json:
        emit({**_told(packed, _now(opened)), "file": str(out), "bytes": out.stat().st_size})
    else:
        console.print(f"{feed} is in {escape(str(out))}: {counted(out.stat().st_size, 'byte')}")


def feeds_(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the feeds with their age, each checked against its signature; --json: one object a line.

    Example: lemnis content feeds
    """
    from lemnis import app
    from lemnis.app import feeds

    opened = app.around(workspace)
    now = _now(opened)
    known = feeds.known(feeds.folder(opened))
    if json:
        for one in known:
            emit(_told(one, now))
        return
    rows = ((one.name, one.told(now), _covered(one)) for one in known)
    show_table("feeds", ("name", "what", "covers"), rows)


def _covered(feed: Feed) -> str:
    if feed.manifest is None or feed.name != "osv":
        return ""
    most = sorted(feed.manifest.entries.items(), key=lambda one: -one[1])
    more = f" and {len(most) - 8} more" if len(most) > 8 else ""  # noqa: PLR2004 - what fits a line
    return ", ".join(f"{name} {count:,}" for name, count in most[:8]) + more


def _told(feed: Feed, now: int) -> dict[str, object]:
    from lemnis.contracts.clock import to_iso

    said = feed.manifest
    return {
        "name": feed.name,
        "ok": said is not None,
        "problem": feed.problem,
        "entries": dict(said.entries) if said else {},
        "until": to_iso(said.until) if said and said.until is not None else None,
        "age_ms": feed.age(now),
        "old": feed.old(now),
        "made": to_iso(said.made) if said else None,
        "sources": list(said.sources) if said else [],
        "digest": said.digest if said else None,
        "signed_by": said.keyid if said else None,
    }


def _now(workspace: object) -> int:
    from lemnis import app

    clock = workspace.clock if isinstance(workspace, app.Workspace) else app.default_clock()
    return clock.now()
