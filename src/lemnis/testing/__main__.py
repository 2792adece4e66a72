"""``python -m lemnis.testing kubernetes aws --port-file F [--world W]``: simulators in their own process.

The world is YAML, as ``lemnis.testing.worlds`` has it: ``kubernetes: [manifest, …]``, ``aws: [role, …]``,
``github: {issue: {…}}``. The cluster believes everybody; vendors want their token, "simulated".
The port file gets one JSON object of names and addresses once they listen.
They end with the process, by SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import signal
from contextlib import ExitStack
from pathlib import Path

import orjson
import yaml

from lemnis.store import durable
from lemnis.testing.worlds import VENDORS, build


def main() -> None:
    """Start them, say where they are, and wait."""
    parser = argparse.ArgumentParser(prog="python -m lemnis.testing", description=__doc__)
    parser.add_argument("simulators", nargs="+", choices=("kubernetes", "aws", *VENDORS))
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--world", type=Path)
    arguments = parser.parse_args()
    world = yaml.safe_load(arguments.world.read_text(encoding="utf-8")) if arguments.world else {}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(build(name, world.get(name) or (), token=""))
            for name in arguments.simulators
        }
        durable.write(arguments.port_file.resolve(), orjson.dumps({n: s.url for n, s in started.items()}))
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
