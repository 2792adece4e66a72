"""The menu: which pages there are, for whom."""

from __future__ import annotations

from collections.abc import Mapping

from lemnis.app.access.people import Person, may
from lemnis.interfaces.web.words import Ours

_MENU: tuple[tuple[tuple[str, str, str, str], ...], ...] = (
    (
        ("/", "Loop", "loop", "incident.read"),
        ("/queue", "Queue", "queue", "incident.read"),
        ("/search", "Search", "search", "event.search"),
        ("/playbooks", "Playbooks", "playbooks", "playbook.read"),
    ),
    (
        ("/detections", "Detections", "detections", "rule.read"),
        ("/pipeline", "Pipeline", "pipeline", "gate.read"),
        ("/posture", "Posture", "posture", "posture.read"),
        ("/sources", "Sources", "sources", "source.read"),
        ("/lessons", "Lessons", "lessons", "lesson.read"),
        ("/people", "People", "people", "access.read"),
    ),
)
"""The menu: address, title, icon, and the permission without which it is not shown."""


def menu(person: Person | None, counts: Mapping[str, int]) -> list[list[dict[str, object]]]:
    """Return the groups of the menu for somebody; ``counts`` are by the icon of what has one. Pure."""
    return [
        [
            {"href": Ours(href), "title": Ours(title), "icon": icon, "count": counts.get(icon, 0)}
            for href, title, icon, permission in group
            if person is None or may(person, permission)
        ]
        for group in _MENU
    ]
