"""A simulated vendor whose things are switched on and off: every change is counted, none may happen twice.

``READ`` and ``SWITCH`` are actions for it, ``TOKEN`` is the bearer token that it takes.
"""

from __future__ import annotations

from typing import Any

import orjson

from lemnis.testing.server import Asked, Reply, Simulator

TOKEN = "canary-7f3a9c-secret-token"  # noqa: S105 - nobody's
READ = """\
title: Read a thing
connection: vendor
effect: read
inputs: {name: {pattern: "[a-z0-9-]+"}}
target: "{name}"
read: {request: {method: GET, path: "/state/{name}"}, expect: [200]}
outputs: {"on": {at: ["on"]}, said: {at: [said]}}
"""
SWITCH = """\
title: Switch a thing on
connection: vendor
effect: reversible
inputs: {name: {pattern: "[a-z0-9-]+"}}
target: "{name}"
touches: {host: "{name}"}
caps: {targets_per_run: 50, targets_per_hour: 5000}
probe:
  request: {method: GET, path: "/things/{name}"}
  absent: {status: [404]}
  present: {status: [200]}
  ours: [{at: [mark], equals: "{effect.key}"}]
do: {request: {method: POST, path: "/things/{name}", json: {mark: "{effect.key}"}}, expect: [201]}
undo: {request: {method: DELETE, path: "/things/{name}"}, expect: [200]}
"""


class Switches(Simulator):
    """``bad`` things refuse; ``states`` are what readings give, one after the other, the last for ever.

    ``down``: nothing answers but 503.
    """

    def __init__(self, *, port: int = 0, delay: float = 0) -> None:
        """Listen on ``port``; ``delay`` seconds pass before an answer."""
        super().__init__(port=port, delay=delay)
        self.things: dict[str, Any] = {}
        self.bad: set[str] = set()
        self.states: dict[str, list[str]] = {}
        self.down = False

    def answer(self, asked: Asked) -> Reply:
        """Read a state, or read, make or take away a thing."""
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, b'{"said": "no"}')
        if self.down:
            return Reply(503, b"down", "text/plain")
        kind, _, name = asked.path.strip("/").partition("/")
        if kind == "state":
            left = self.states.get(name, ["idle"])
            said = left.pop(0) if len(left) > 1 else left[0]
            return Reply(200, orjson.dumps({"on": name in self.things, "said": said}))
        return self._thing(asked, name)

    def _thing(self, asked: Asked, name: str) -> Reply:
        if asked.method == "GET":
            found = name in self.things
            return Reply(200 if found else 404, orjson.dumps(self.things.get(name, {})))
        if name in self.bad:
            return Reply(403, f'{{"said": "not {name}, {TOKEN}"}}'.encode())
        if asked.method == "DELETE":
            self.changed(f"off {name}")
            self.things.pop(name, None)
            return Reply(200, b"{}")
        if name in self.things:
            return Reply(409, b"{}")
        self.changed(f"on {name}")
        self.things[name] = orjson.loads(asked.body)
        return Reply(201, b"{}")
