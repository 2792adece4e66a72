"""Who is who in the console, and what they may: the words that pages and routes use."""

from __future__ import annotations

from lemnis.app.access.permissions import Person, demand, may, refusal

__all__ = ["Person", "demand", "may", "refusal"]
