"""Surfaces: parse, call, render; no logic."""

import os

os.environ.setdefault("MIMALLOC_PURGE_DELAY", "60000")
"""Arrow reads it when it is loaded: what is freed is given back after a minute, not at once (ADR 0063)."""
