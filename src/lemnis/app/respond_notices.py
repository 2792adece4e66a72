"""Tells people that an approval or an answer is waited for, by an action that the settings name.

What is told goes through the effect ledger like any action: within limits and guards, once, recorded.
"""

from __future__ import annotations

import logging
from time import sleep

from lemnis.app import respond
from lemnis.app.respond_services import Room
from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook
from lemnis.content.schemas.settings import Notify
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.ids import stable_id
from lemnis.respond import planning
from lemnis.respond.effects import Context, Ledger
from lemnis.respond.facts import Facts
from lemnis.respond.limits import within
from lemnis.respond.notices import Notice

LOG = logging.getLogger("lemnis.respond")
_INPUTS = ("text", "role", "moment", "run")


def playbook(notify: Notify) -> Playbook:
    """Return what is done as a playbook of one step: values are inputs, and never read as templates."""
    inputs = {name: {"select": "owner", "pattern": "(?s).*"} for name in _INPUTS}
    step = {"id": "notify", "action": notify.action, "with": notify.inputs}
    return Playbook.model_validate(
        {"title": "Notice", "kind": "notification", "inputs": inputs, "steps": [step]}
    )


def send(made: Room, notify: Notify, one: Notice) -> None:
    """Tell people, and write down that they were told; a failure is written down and not repeated."""
    if made.journal.get(one.key) is not None:
        return  # since it was seen to be due
    try:
        outcome = _send(made, notify, one)
    except LemnisError as error:
        outcome = f"failed: {error.what}"
    if outcome not in {"done", "already"}:
        LOG.warning("nobody was told that %s: %s", one.text, outcome)
    made.journal.append(one.entry(outcome))


def _send(made: Room, notify: Notify, one: Notice) -> str:
    library, about = made.shelf.library(), Facts(one.waits.incident_id)
    given = {"text": [one.text], "role": [one.role], "moment": [one.moment], "run": [one.waits.run]}
    planned = planning.plan(
        "notice", playbook(notify), about, respond.Loaded(library, "actions", Action), made.reach,
        content_digest=library.digest, guards=made.guards, sleep=sleep, given=given,
    )  # fmt: skip
    act = planned.plan.actions[0]
    if act.refused:
        return f"refused: {act.refused}"
    run = stable_id("notice", one.waits.of, one.moment)
    services = made.services(actor="lemnis")
    with made.limits.target(f"{notify.action} {act.target}", run) as hold:
        ledger = Ledger(
            made.journal, within(made.limits, services.reach, run=run, hold=hold)[0], services.clock,
            sleep=services.sleep, collect=services.collect, guards=services.guards, gate=services.gate,
        )  # fmt: skip
        context = Context(run, one.waits.incident_id, one.at, "lemnis", planned)
        found = ledger.carry_out(context, act)
    return found.name if found.good else f"{found.name}: {found.error}"
