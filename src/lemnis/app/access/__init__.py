"""Access to the console and its API: who is who, who may what, and how they prove it.

``people`` has the words for pages and routes; ``service.Access`` is opened once a process.
"""

from __future__ import annotations

from lemnis.app.access.permissions import Person, demand, may, refusal

__all__ = ["Person", "demand", "may", "refusal"]
