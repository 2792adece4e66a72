"""``python tests/respond/record.py [ACTION]…`` records the exchange beside each action anew, on simulators."""

import sys
from pathlib import Path

import orjson
import yaml

from lemnis.app import respond
from lemnis.app.connections import Connections
from lemnis.content.library import Library
from lemnis.testing import exchange
from lemnis.testing.worlds import ENVIRONMENT, World

WORLDS = yaml.safe_load((Path(__file__).parent / "worlds.yaml").read_text(encoding="utf-8"))
RUN = {
    "effect.key": "0" * 32, "effect.name": "0" * 16, "effect.uuid": "00000000-0000-5000-8000-000000000000",
    "run.id": "run-0000000000000000", "run.started": "2025-11-03T09:30:00.000Z",
    "incident.id": "in-0000000000000000",
}  # fmt: skip


def main(names):
    library = Library.open()
    actions = respond.actions(library)
    for name in names or actions:
        action, one = actions[name], WORLDS[name]
        with (
            World(one["world"], [action.connection]) as world,
            Connections(world.connections(), Path(), ENVIRONMENT) as connections,
        ):
            made = exchange.record(action, {**one["inputs"], **RUN}, connections.reach(action.connection))
        path = library.get("actions", name).manifest.with_suffix(".exchange.json")
        path.write_bytes(orjson.dumps(made, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
