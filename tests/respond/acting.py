"""Every action of ``content`` in the world that worlds.yaml gives it, driven by the real ledger; not a test itself."""

import copy
from contextlib import contextmanager
from pathlib import Path

import yaml

from lemnis.app import respond
from lemnis.app.connections import Connections
from lemnis.content.library import Library
from lemnis.content.schemas.action import PLACE
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.journal import Entry
from lemnis.contracts.response import EffectClass, Plan, PlannedAction
from lemnis.respond import records
from lemnis.respond.effects import Context, Ledger, values
from lemnis.respond.probing import probe
from lemnis.respond.template import fill_text, render
from lemnis.testing.worlds import ENVIRONMENT, World

WORLDS = yaml.safe_load((Path(__file__).parent / "worlds.yaml").read_text(encoding="utf-8"))
LIBRARY = Library.open()
ACTIONS = {  # simulators are on loopback, where no egress list leads
    name: one.model_copy(update={"egress": ()}) for name, one in respond.actions(LIBRARY).items()
}
WRITES = [name for name, one in ACTIONS.items() if one.effect != "read"]
READS = [name for name, one in ACTIONS.items() if one.effect == "read"]


class Dead(BaseException):
    """The process was killed here."""


class Memory:
    """A journal in memory."""

    def __init__(self):
        self.kept = {}

    def append(self, entry):
        return self.append_all([entry])[0]

    def append_all(self, entries):
        made = []
        for one in entries:
            new = one.key not in self.kept
            if new:
                seq = len(self.kept) + 1
                self.kept[one.key] = Entry(
                    seq, 0, one.kind, one.subject, one.key, one.actor, one.reason, one.payload, "", ""
                )
            made.append((self.kept[one.key], new))
        return made

    def get(self, key):
        return self.kept.get(key)

    def entries(self, *, kind=None, after=0, **_):
        yield from [e for e in self.kept.values() if kind in (None, e.kind) and e.seq > after]

    def kinds(self):
        return [one.kind for one in self.kept.values()]


class Stage:
    """One action in its world, with a journal."""

    def __init__(self, name, world, connections, **changes):
        self.name, self.world, self.connections = name, world, connections
        self.action = ACTIONS[name].model_copy(update=changes)
        self.inputs = WORLDS[name]["inputs"]
        self.journal, self.slept, self.vault = Memory(), [], []
        self.simulator = world.of(self.action.connection)

    def planned(self, undo_of=None):
        arguments = dict(self.inputs)
        target = fill_text(self.action.target, arguments)
        where = self.connections.reach(self.action.connection).url
        arguments[records.CONNECTION] = f"{self.action.connection} {where}"
        if undo_of:
            known = self.values(undo_of)
            run = {"@run": undo_of, "@started": known["run.started"], "@effect": known["effect.key"]}
            arguments |= run
        name = self.name + (records.UNDO if undo_of else "")
        return PlannedAction("step", name, target, EffectClass(self.action.effect), arguments)

    def context(self, one, run):
        plan = Plan("p", "in-1", (one,), "sha256:c")
        planned = records.Planned(plan=plan, definitions={self.name: self.action}, mitigates=True)
        return Context(run, "in-1", SystemClock().now() - 1000, "ana", planned)

    def values(self, run):
        one = self.planned()
        return values(self.context(one, run), one, records.effect_key(run, one))

    def do(self, run="run-1", *, send=None):
        """Do it; ``send`` takes the place of the caller's."""
        return self._carry_out(self.planned(), run, send)

    def keep(self, incident, title, data):
        self.vault.append((incident, title, data))
        return f"sha256:{len(self.vault)}"

    def undo(self, of="run-1", run="run-9"):
        return self._carry_out(self.planned(undo_of=of), run, None)

    def state(self):
        caller = self.connections.reach(self.action.connection)
        return probe(self.action, caller, self.values("run-1"), self.slept.append)

    def objects(self):
        """What the simulator has, but for versions and what Lemnis notes on what it touched."""
        kept = self.simulator._objects if hasattr(self.simulator, "_objects") else vars(self.simulator)
        parts = {key: one for key, one in kept.items() if key != "log"}
        if self.world.simulators.get("aws") is self.simulator:
            more = {key: dict(vars(one)) for key, one in self.simulator._more.items()}
            parts = {"users": self.simulator._users, "policies": self.simulator._policies, "more": more}
        return _plain(copy.deepcopy(parts))

    def _carry_out(self, one, run, send):
        ledger = Ledger(
            self.journal,
            lambda name: _Spy(self.connections.reach(name), send) if send else self.connections.reach(name),
            SystemClock(),
            sleep=self.slept.append,
            collect=lambda _: [],
            keep=self.keep,
        )
        return ledger.carry_out(self.context(one, run), one)

    def is_do(self, asked):
        """Say whether a request is the action's ``do`` (and not a probe)."""
        part = self.action.do.request
        if asked.method != part.method:
            return False
        names = dict.fromkeys(_places(part.path), "x")
        shape = render(part.model_copy(update={"json_body": None, "form": None, "xml": None, "headers": {}}),
                       {**names, **WORLDS[self.name]["inputs"]}).path  # fmt: skip
        if self.action.connection == "teams":
            return True
        verb = f"Action={part.form['Action']}&".encode() if part.form else b""
        return asked.path == shape and verb in asked.body + b"&"


class _Spy:
    def __init__(self, caller, send):
        self._caller, self._send, self.url = caller, send, caller.url

    def send(self, request, **more):
        return self._send(self._caller, request, more)


@contextmanager
def stage(name, *, lag=0, **changes):
    """Put an action on its stage."""
    with (
        World(WORLDS[name]["world"], [ACTIONS[name].connection], lag=lag) as world,
        Connections(world.connections(), Path(), ENVIRONMENT) as connections,
    ):
        yield Stage(name, world, connections, **changes)


def _places(text):
    return [found[1] for found in PLACE.finditer(text) if found[1]]


def _plain(what):
    if isinstance(what, dict):
        return {
            str(key): _plain(one)
            for key, one in what.items()
            if key not in {"resourceVersion", "annotations", "uid"} and one not in ({}, None)
        }
    if isinstance(what, list | tuple | set):
        return sorted(map(repr, map(_plain, what)))
    return what if isinstance(what, str | int | float | bool) else repr(type(what))
