"""The graph by numbers: nodes with properties, edges both ways, evidence once; old edges are carried over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "r0008_graph"
down_revision = "r0007_findings"

_SINCE_EVER, _FOR_EVER = -(2**47), 2**47 - 1


def upgrade() -> None:
    """Make the tables, move the edges, drop the old table."""
    op.create_table(
        "graph_word",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text(), nullable=False, unique=True),
    )
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "graph_node",
        sa.Column("id", big, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        # in the order of bytes, so that what names begin with is a range of the index
        sa.Column("value", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("data", sa.Text()),
    )
    op.create_table(
        "graph_evidence",
        sa.Column("id", big, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
    )
    key = ("source", "relation", "target", "method", "valid_from")
    op.create_table(
        "graph_edge",
        *(sa.Column(name, sa.Integer() if name in {"relation", "method"} else sa.BigInteger(),
                    primary_key=True, autoincrement=False) for name in key),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("strength", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )  # fmt: skip
    _move(op.get_bind())
    op.create_index("graph_node_by_name", "graph_node", ["kind", "value"], unique=True)
    op.create_index("graph_evidence_by_hash", "graph_evidence", ["hash"])
    op.create_index(
        "graph_edge_back", "graph_edge",
        ["target", "relation", "source", "method", "valid_from", "valid_to", "strength"],
    )  # fmt: skip
    op.drop_table("edge")


def downgrade() -> None:
    """Drop the tables and make the old one anew, empty: edges are derived and can be collected again."""
    for name in ("graph_edge", "graph_evidence", "graph_node", "graph_word"):
        op.drop_table(name)
    op.create_table(
        "edge",
        *(sa.Column(name, sa.Text(), primary_key=name == "id", nullable=False)
          for name in ("id", "source", "target", "relation", "method")),
        sa.Column("strength", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.BigInteger()),
        sa.Column("valid_to", sa.BigInteger()),
    )  # fmt: skip
    op.create_index("edge_by_source", "edge", ["source"])
    op.create_index("edge_by_target", "edge", ["target"])


def _move(connection: sa.Connection) -> None:
    """Carry the edges over: a graph of traces, so few that they fit into memory."""
    if not sa.inspect(connection).has_table("edge"):
        return
    words: dict[str, int] = {}
    nodes: dict[tuple[int, str], int] = {}
    proofs: dict[str, int] = {}

    def word(text: str) -> int:
        return words.setdefault(text, len(words) + 1)

    def node(text: str) -> int:
        kind, _, value = text.partition(":")
        return nodes.setdefault((word(kind), value), len(nodes) + 1)

    old = sa.text(
        "SELECT source, relation, target, method, strength, evidence, valid_from, valid_to"
        " FROM edge ORDER BY id"
    )
    edges = [
        {
            "source": node(row.source), "relation": word(row.relation), "target": node(row.target),
            "method": word(row.method), "strength": row.strength,
            "valid_from": _SINCE_EVER if row.valid_from is None else row.valid_from,
            "valid_to": _FOR_EVER if row.valid_to is None else row.valid_to,
            "evidence": proofs.setdefault(row.evidence, len(proofs) + 1),
        }
        for row in connection.execute(old)
    ]  # fmt: skip
    _insert(connection, "graph_word", [{"id": number, "text": text} for text, number in words.items()])
    _insert(
        connection, "graph_node",
        [{"id": number, "kind": kind, "value": value} for (kind, value), number in nodes.items()],
    )  # fmt: skip
    _insert(
        connection, "graph_evidence",
        [{"id": number, "hash": _hash(data), "data": data} for data, number in proofs.items()],
    )  # fmt: skip
    _insert(connection, "graph_edge", edges)


def _insert(connection: sa.Connection, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        table = sa.table(name, *(sa.column(column) for column in rows[0]))
        connection.execute(sa.insert(table), rows)


def _hash(data: str) -> int:
    return int.from_bytes(hashlib.blake2b(data.encode(), digest_size=8).digest(), "big", signed=True)
