"""Kinds of journal entries that one room writes and another reads; the others are their room's own."""

from __future__ import annotations

PLANNED = "playbook.planned"
APPROVED = "playbook.approved"
STARTED = "playbook.started"
FINISHED = "playbook.finished"
INTENT = "action.intent"
RESULT = "action.result"
CONTAINED = "incident.contained"
