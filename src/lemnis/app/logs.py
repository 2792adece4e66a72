"""Logging of a service: to stderr, a line an event; of libraries only what is wrong."""

from __future__ import annotations

import logging
import sys

_LOUD = ("alembic", "uvicorn", "asyncio", "botocore", "aiokafka", "nats")


def configure(level: int = logging.INFO) -> None:
    """Send log records of this level and above to stderr."""
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
