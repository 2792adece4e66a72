"""``lemnis assets``: what is known of machines, people and networks, and what of it went to an event."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    in_line,
    messages,
    show_table,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lemnis.app.assets import Known

_BAD_INPUT = 2
_SHOWN = 20


class Kind(StrEnum):
    """The reference tables."""

    ASSETS = "assets"
    IDENTITIES = "identities"
    NETWORKS = "networks"
    DNS = "dns"
    VULNERABILITIES = "vulnerabilities"


AsOf = Annotated[
    str, typer.Option("--as-of", metavar="TIME", help="A time (2026-03-01T12:00:00Z), or a span back (24h).")
]


def register(app: typer.Typer) -> None:
    """Add the commands about reference tables."""
    assets = group(app, "assets")
    assets.command("import")(import_)
    assets.command("list")(list_)
    assets.command("show")(show)
    assets.command("history")(history)
    assets.command("explain")(explain)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".csv, .json, .ndjson, .jsonl, .parquet")],
    table: Annotated[Kind, typer.Option("--table", help="What the rows are.")] = Kind.ASSETS,
    as_of: AsOf = "",
    complete: Annotated[
        bool, typer.Option("--complete", help="The file names all there are: others ended then.")
    ] = False,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="THEIRS=OURS", help="A column by another name; repeat it.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Lay a file of assets, identities, networks or vulnerabilities over what is known, as of a time.

    Rows without times of their own (`from`, `until`) hold from --as-of, which is now unless given, to the
    next change that is known. What was known before stays known of its time; the same file again changes
    nothing. To let an inventory hold for logs of the past, say --as-of with a time before them. Columns are
    named as in `docs/enrichment.md`. Exit code 2 if a row was refused: it is told with its line.

    Example: lemnis assets import cmdb.csv --as-of 2026-01-01 --rename "Host Name=hostnames"
    """
    from lemnis import app
    from lemnis.app import assets

    opened = app.open_workspace(workspace)
    names = dict(_renamed(one) for one in rename or ())
    with messages.status(f"importing {file.name}"):
        done = assets.load(
            opened,
            table.value,
            file,
            as_of=_instant(as_of, opened.clock.now()),
            complete=complete,
            rename=names,
        )
    for reject in done.rejects[:_SHOWN]:
        warn(f"{reject.at}: {reject.reason}")
    if len(done.rejects) > _SHOWN:
        warn(f"refused: {counted(len(done.rejects) - _SHOWN, 'more row')}")
    if done.ignored:
        warn(f"columns that say nothing to us: {', '.join(done.ignored[:_SHOWN])}")
    if json:
        change = done.change
        emit(
            {
                "read": done.read, "rejected": len(done.rejects), "added": done.added,
                "changed": done.changed, "unchanged": done.unchanged, "ended": done.ended,
                "revision": change.revision if change else None, "digest": change.digest if change else None,
            }
        )  # fmt: skip
    else:
        console.print(
            f"{counted(done.read, 'row')}: {done.added:,} new, {done.changed:,} changed, "
            f"{done.unchanged:,} as they were, {done.ended:,} ended, {len(done.rejects):,} refused"
        )
    if done.rejects:
        raise typer.Exit(_BAD_INPUT)


def list_(
    table: Annotated[Kind | None, typer.Option("--table", help="Of this table only.")] = None,
    as_of: AsOf = "",
    everything: Annotated[bool, typer.Option("--all", help="Of all times, not only as of one.")] = False,
    revision: Annotated[
        int | None, typer.Option(min=1, help="The imported ones as they were after this change.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List what is known as of a time, which is now unless given: from content, imported and learnt.

    With --json one object a line: `table`, `id`, `from` and `until` (ms, or null where open), `record`,
    `origin`, `revision`.

    Example: lemnis assets list --table networks --as-of 2026-03-01
    """
    from lemnis import app
    from lemnis.app import assets

    opened = app.open_workspace(workspace)
    instant = None if everything and not as_of else _instant(as_of, opened.clock.now())
    found = assets.listing(opened, table=table.value if table else "", as_of=instant, revision=revision)
    _show(counted(len(found), "record"), found, json=json)


def show(
    name: Annotated[str, typer.Argument(help="An id, host name, address, account, e-mail or CIDR.")],
    as_of: AsOf = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what is known of a machine, user or network: of all times, unless --as-of says one.

    Example: lemnis assets show web1.corp.example
    """
    from lemnis import app
    from lemnis.app import assets

    opened = app.open_workspace(workspace)
    instant = _instant(as_of, opened.clock.now()) if as_of else None
    _show(name, assets.show(opened, name, as_of=instant), json=json)


def history(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the changes to the imported tables: when, of which table, by which file, and the digest after it.

    Example: lemnis assets history --json
    """
    from lemnis import app
    from lemnis.app import assets

    found = assets.changes(app.open_workspace(workspace))
    if json:
        for one in found:
            emit(
                {"id": one.revision, "at": one.at, "table": one.table, "origin": one.origin,
                 "records": one.records, "digest": one.digest}
            )  # fmt: skip
        return
    rows = (
        (one.revision, to_iso(one.at), one.table, one.origin, f"{one.records:,}", one.digest) for one in found
    )
    show_table(counted(len(found), "change"), ("id", "at", "table", "by", "records", "digest"), rows)


def explain(
    uid: Annotated[str, typer.Argument(metavar="UID", help="An event's uid, as `lemnis search` tells it.")],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what an event was enriched with: attribute, value, table, record, and where that record stands.

    The event keeps what was known when it came. Where the tables say something else of its time now, after
    a correction, that is told; --json has it as `now`.

    Example: lemnis assets explain ev-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import assets

    found = assets.explain(app.open_workspace(workspace), uid)
    if json:
        emit(
            {"uid": found.uid, "time": found.time, "class": found.class_name, "source": found.source,
             "enrichments": [_read(one) for one in found.stored], "now": [_read(one) for one in found.now],
             "differs": found.differs, "digest": found.digest}
        )  # fmt: skip
        return
    title = f"{found.uid}, {found.class_name} of {found.source}, {to_iso(found.time)}"
    show_table(title, ("attribute", "value", "is of", "says", "stands in"), _told(found.stored))
    if found.differs:
        warn("the tables would say something else of its time now:")
        show_table("now", ("attribute", "value", "is of", "says", "stands in"), _told(found.now))


def _show(title: str, found: list[Known], *, json: bool) -> None:
    if json:
        for one in found:
            emit(one.document())
        return
    rows = ((one.id, one.table, _when(one.since), _when(one.until), _said(one), one.origin) for one in found)
    show_table(title, ("id", "table", "from", "until", "says", "stands in"), rows)


def _when(instant: int | None) -> str:
    return "" if instant is None else to_iso(instant)


def _said(one: Known) -> str:
    return _line({name: value for name, value in one.record.items() if name != "id"})


def _told(enrichments: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, ...]]:
    for one in map(_read, enrichments):
        data = one["data"] if isinstance(one["data"], dict) else {"": one["data"]}
        yield (
            str(one["name"]), str(one["value"]), str(one["type"]), _line(data), str(one["provider"] or "")
        )  # fmt: skip


def _line(record: Mapping[str, Any]) -> str:
    """Return what a record says on a line."""
    said = (
        f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in record.items()
    )
    return in_line("; ".join(said))


def _read(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return an enrichment with its data read."""
    try:
        data = orjson.loads(one.get("data") or "null")
    except orjson.JSONDecodeError:
        data = one.get("data")
    return {**one, "data": data, "provider": one.get("provider")}


def _instant(text: str, now: int) -> int:
    from lemnis.store.search import instant

    return instant(text, now) if text else now


def _renamed(text: str) -> tuple[str, str]:
    theirs, sign, ours = text.partition("=")
    if not (theirs and sign and ours):
        raise UsageError(f"--rename {text!r} is not THEIRS=OURS", fix='write --rename "Host Name=hostnames"')
    return theirs.strip(), ours.strip()
