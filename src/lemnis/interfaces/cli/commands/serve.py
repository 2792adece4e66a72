"""``lemnis serve``: everything that listens and pulls, in one process."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, counted, emit, in_line, messages, spoken

if TYPE_CHECKING:
    from lemnis.app.serve import Serving
    from lemnis.content.schemas.settings import Admin

_SHOW_S = 0.5
_TELL_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    detect: Annotated[bool, typer.Option("--detect/--no-detect", help="Run detections on the way.")] = True,
    admin: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where health and metrics are told; `off` for nowhere.")
    ] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that work on what came; else by the cores.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take what comes by every transport in lemnis.yaml: durable first, then detected on and in the lake.

    Senders are answered when what they sent would survive a loss of power. SIGTERM and Ctrl-C end it when
    what was taken is done. Health is at /healthz and /readyz, metrics are at /metrics, on the loopback unless
    the settings say otherwise. With --json each event is a line: listening, ready, worked, failed, stopped.

    Example: lemnis serve --workspace soc
    """
    from lemnis import app
    from lemnis.app import logs
    from lemnis.app.serve import Serving

    logs.configure(logging.INFO if json or not messages.is_terminal else logging.WARNING)
    where = _admin(admin) if admin else None
    serving = Serving(app.alone(app.open_workspace(workspace)), detect=detect, admin=where, workers=workers)
    shown = _Json(serving) if json else _Lines(serving)
    serving.heard.append(shown.hear)
    asyncio.run(_run(serving, shown))


def _admin(text: str) -> Admin:
    from lemnis.content.schemas.settings import Admin

    if text == "off":
        return Admin(on=False)
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004 - of TCP
        raise UsageError(f"--admin {text}: not HOST:PORT", fix="such as 127.0.0.1:9470, or off")
    return Admin(host=host.strip("[]"), port=int(port))


async def _run(serving: Serving, shown: _Json | _Lines) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.stop)
    showing = asyncio.create_task(shown.run())
    try:
        await serving.run()
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        shown.end()


class _Json:
    """Events as lines of JSON; what the worker does is summed up each second."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._told = (-1, -1)

    def hear(self, event: str, facts: dict[str, Any]) -> None:
        if event in {"received", "worked", "settled"}:
            return
        if event == "stopped":
            self._sum()
        self._emit(event, facts)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_TELL_S)
            self._sum()

    def end(self) -> None:
        """Do nothing more."""

    def _sum(self) -> None:
        totals, counts = self._serving.totals, self._serving.counts
        now = (counts.deliveries, totals.of("deliveries"))
        if now != self._told:
            self._told = now
            sources = {name: {**one, "lag_ms": totals.lag_ms[name]} for name, one in totals.by_source.items()}
            self._emit("worked", {"received": asdict(counts), "sources": sources, "alerts": totals.alerts})

    @staticmethod
    def _emit(event: str, facts: dict[str, Any]) -> None:
        emit({"event": event, **facts})
        sys.stdout.flush()


class _Lines:
    """What happens as lines on stderr, and beneath them on a terminal how much there is of what."""

    def __init__(self, serving: Serving) -> None:
        from rich.live import Live
        from rich.text import Text

        self._serving = serving
        self._live = Live(Text(""), console=messages, auto_refresh=False, transient=True)
        self._last = (time.monotonic(), 0)

    def hear(self, event: str, facts: dict[str, Any]) -> None:
        said = _LINES.get(event)
        if said is not None:
            messages.print(in_line(said.format(**spoken(facts))), markup=False)

    async def run(self) -> None:
        if not messages.is_terminal:
            return
        self._live.start()
        while True:
            await asyncio.sleep(_SHOW_S)
            self._live.update(self._line(), refresh=True)

    def end(self) -> None:
        """Take the line off the terminal, and say what was done."""
        self._live.stop()
        totals = self._serving.totals
        messages.print(
            f"{counted(totals.of('accepted'), 'event')} accepted, {totals.of('rejected'):,} rejected, "
            f"{totals.of('duplicates'):,} known already, {totals.of('dead'):,} given up; "
            f"{counted(totals.alerts, 'alert')}"
        )

    def _line(self) -> str:
        totals, counts = self._serving.totals, self._serving.counts
        now, events = time.monotonic(), totals.of("accepted")
        rate = (events - self._last[1]) / max(0.001, now - self._last[0])
        self._last = (now, events)
        waiting = sum(one.bytes for one in self._serving.waiting())
        busy = f" · {counts.busy:,} told to come later" if counts.busy else ""
        return (
            f"{counted(counts.deliveries, 'delivery')} · {counted(events, 'event')} · {rate:,.0f}/s · "
            f"{waiting / 1e6:,.1f} MB wait · {totals.of('rejected') + totals.of('dead'):,} rejected · "
            f"{counted(totals.alerts, 'alert')}{busy}"
        )


_LINES = {
    "listening": "{transport} listens at {host} port {port}",
    "admin": "health and metrics at http://{host}:{port}",
    "console": "the console is at {url} {welcome}",
    "ready": "a worker is ready: {rules}, {problems} in the content",
    "failed": "{transport}: {problem}",
    "stopped": "stopped; left for the next start: {waiting}",
}
