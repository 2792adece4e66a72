"""Findings of scanners with their lives: a row a fingerprint, and the group that it is in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0007_findings"
down_revision = "r0006_suppressed"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "finding",
        sa.Column("resource", sa.Text(), primary_key=True),
        sa.Column("fingerprint", sa.Text(), primary_key=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("first_revision", sa.Text(), nullable=False),
        sa.Column("fixed_at", sa.BigInteger()),
        sa.Column("fixed_in", sa.Text()),
        sa.Column("introduced", sa.Text()),
    )
    op.create_index("finding_problem", "finding", ["problem"])
    op.create_table(
        "finding_scan",
        sa.Column("resource", sa.Text(), primary_key=True),
        sa.Column("tool", sa.Text(), primary_key=True),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("findings", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("finding_scan")
    op.drop_table("finding")
