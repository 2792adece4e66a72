"""The provenance graph: one row an edge, replaced when the same is said again by the same method."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002_graph"
down_revision = "r0001_journal"


def upgrade() -> None:
    """Make the table of edges."""
    op.create_table(
        "edge",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("strength", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.BigInteger()),
        sa.Column("valid_to", sa.BigInteger()),
    )
    op.create_index("edge_by_source", "edge", ["source"])
    op.create_index("edge_by_target", "edge", ["target"])


def downgrade() -> None:
    """Drop the table: edges are derived and can be collected again."""
    op.drop_table("edge")
