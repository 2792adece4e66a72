"""The graph's tables, and how instants and evidence lie in them."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

SINCE_EVER, FOR_EVER = -(2**47), 2**47 - 1
"""What an open bound is kept as (the years 2492 BC and 6429), so that one comparison a bound will do."""

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_METADATA = sa.MetaData()
WORDS = sa.Table(
    "graph_word",
    _METADATA,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text(), nullable=False, unique=True),
)
"""Kinds, relations and methods by small numbers."""
NODES = sa.Table(
    "graph_node",
    _METADATA,
    sa.Column("id", _BIG, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Integer(), nullable=False),
    sa.Column("value", sa.Text(), nullable=False),
    sa.Column("data", sa.Text()),
)
"""Entities; ``data`` holds their properties, if they have any."""
EVIDENCE = sa.Table(
    "graph_evidence",
    _METADATA,
    sa.Column("id", _BIG, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.BigInteger(), nullable=False),
    sa.Column("data", sa.Text(), nullable=False),
)
"""Evidence, each once however many edges rest on it; ``hash`` only finds it."""
EDGES = sa.Table(
    "graph_edge",
    _METADATA,
    sa.Column("source", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("relation", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("target", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("method", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("valid_from", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("valid_to", sa.BigInteger(), nullable=False),
    sa.Column("strength", sa.Integer(), nullable=False),
    sa.Column("evidence", sa.BigInteger(), nullable=False),
)
"""Statements, in the order of their sources; the index ``graph_edge_back`` has them by their targets."""


def begins(instant: int | None) -> int:
    """Return how the instant is kept from which something holds."""
    return SINCE_EVER if instant is None else min(max(instant, SINCE_EVER), FOR_EVER)


def ends(instant: int | None) -> int:
    """Return how the instant is kept until which something holds."""
    return FOR_EVER if instant is None else min(max(instant, SINCE_EVER), FOR_EVER)


def began(kept: int) -> int | None:
    """Return the instant from which something holds."""
    return None if kept == SINCE_EVER else kept


def ended(kept: int) -> int | None:
    """Return the instant until which something holds."""
    return None if kept == FOR_EVER else kept


def number_of(data: bytes) -> int:
    """Return a signed number of 64 bits that finds evidence again; texts may share one."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)
