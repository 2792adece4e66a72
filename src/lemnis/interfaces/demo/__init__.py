"""The demonstration: a script over the commands that every user has, told on the terminal as it goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from lemnis.content.library import examples_root
from lemnis.contracts.clock import SystemClock, from_iso
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.demo.stage import Facts, Stage, Teller, tell
from lemnis.interfaces.demo.story import Scene, chapters
from lemnis.interfaces.demo.world import world

SHOP = "shop"


def play(folder: Path, *, console: Console, quiet: bool, recording: Path | None = None) -> Iterator[Facts]:
    """Play the story in an empty folder; yield the facts of each stage as it ends.

    The clock stands where the recording ends and runs on from there, so that the times of events and the
    times of what is done about them are of one clock. Raises UsageError if the folder holds something.
    """
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", fix="name a new folder with --dir")
    folder.mkdir(parents=True, exist_ok=True)
    shop = examples_root() / SHOP
    with world(shop / "cluster.json") as (connections, secrets):
        scene = Scene.read(shop, recording or shop / "recording", connections)
        stage = Stage(folder, Teller(console, quiet))
        offset = from_iso(scene.manifest["ended"]) - SystemClock().now()
        settings = {
            "LEMNIS_WORKSPACE": str(stage.workspace),
            "LEMNIS_CLOCK_OFFSET": str(offset),
            **secrets,
        }
        with environment(settings):
            yield from tell(stage, chapters(scene))


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
