"""A workspace of its own for measuring response: a simulated vendor, playbooks over it, incidents."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

from lemnis import app
from lemnis.app import respond, respond_triggers
from lemnis.app.respond_services import Room
from lemnis.contracts.alerts import Entity, Severity
from lemnis.respond import approval, records
from lemnis.respond.facts import Facts
from lemnis.respond.records import Planned
from lemnis.testing.switches import READ, SWITCH, TOKEN

PLAYBOOKS = {
    "plain": """\
        - {id: look, action: vendor.read, with: {name: one}}
        - {id: a, action: vendor.switch, for_each: host, with: {name: "{host}"}}
        - {id: b, action: vendor.other, for_each: host, with: {name: "{host}-b"}}
        """,
    "branches": """\
        - {id: a, action: vendor.switch, for_each: host, with: {name: "{host}"}}
        - id: went
          if: "a.all(x, x.outcome == 'done' || x.outcome == 'already')"
          then: [{id: b, action: vendor.other, for_each: host, with: {name: "{host}-b"}}]
          else: [{id: c, action: vendor.other, for_each: host, with: {name: "{host}-c"}}]
        - id: d
          switch: "a[0].outcome"
          cases: {failed: [{id: e, end: failed}]}
          default: [{id: f, action: vendor.read, with: {name: late}, at: run}]
        """,
    "loop": """\
        - id: again
          while: "turn <= 2 || (has(check.on) && check.on)"
          max_turns: 3
          do:
            - {id: push, action: vendor.switch, for_each: host, with: {name: "{host}"}}
            - {id: check, action: vendor.read, with: {name: one}, at: run}
        """,
    "together": """\
        - id: both
          parallel:
            - {id: a, action: vendor.switch, for_each: host, with: {name: "{host}"}}
            - id: b
              if: "true"
              then: [{id: c, action: vendor.other, for_each: host, with: {name: "{host}-b"}}]
        - {id: d, action: vendor.switch, for_each: host, with: {name: "{host}-d"}}
        """,
    "calls": """\
        - {id: first, action: vendor.switch, for_each: host, with: {name: "{host}-f"}}
        - {id: call, playbook: plain, with: {host: "{host}"}}
        """,
    "five": """\
        - {id: a, action: vendor.read, with: {name: one}, at: run}
        - {id: b, action: vendor.read, with: {name: two}, at: run}
        - {id: c, action: vendor.switch, for_each: host, with: {name: "{host}"}}
        - {id: d, action: vendor.read, with: {name: three}, at: run}
        - {id: e, action: vendor.read, with: {name: four}, at: run}
        """,
}  # fmt: skip
CHANGES = {
    "plain": ("{}", "{}-b"), "branches": ("{}", "{}-b"), "loop": ("{}",), "together": ("{}", "{}-b", "{}-d"),
    "calls": ("{}-f", "{}", "{}-b"), "five": ("{}",),
}  # fmt: skip
"""What a run of each changes for a host, each once."""
_HEAD = """\
title: Measured
approval: {timeout_min: 10000}
inputs: {host: {select: host, many: true, required: false}}
steps:
"""


def make(root: Path, url: str) -> app.Workspace:
    """Make a workspace whose vendor is at ``url``."""
    os.environ["VENDOR_TOKEN"] = TOKEN
    workspace = app.init(root, name="measured")
    settings = f'name: measured\nconnections:\n  vendor: {{url: "{url}", token_env: VENDOR_TOKEN}}\n'
    (root / app.SETTINGS).write_text(settings, encoding="utf-8")
    for name, text in (("read", READ), ("switch", SWITCH), ("other", SWITCH)):
        _write(root / f"content/actions/vendor/{name}.yaml", text.replace("5000}", "10000}"))
    for name, steps in PLAYBOOKS.items():
        body = textwrap.indent(textwrap.dedent(steps), "  ")
        _write(root / f"content/playbooks/{name}/playbook.yaml", _HEAD + body)
    return workspace


def planned(made: Room, playbook: str, number: int) -> tuple[Planned, str]:
    """Plan a playbook for a host of its own and write the plan down; return it and the host."""
    host = f"{playbook}-{number}"
    about = Facts(f"hook-{host}", host, Severity.HIGH, (Entity.parse(f"host:{host}"),))
    plan = respond.plan_for(made, playbook, respond_triggers.kept(about, {}))
    made.journal.append(records.planned_entry(plan, actor="bench"))
    return plan, host


def approve(made: Room, plan: Planned) -> None:
    """Approve a plan."""
    approval.approve(made.journal, made.workspace.clock, plan, actor="bench", reason="measured")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
