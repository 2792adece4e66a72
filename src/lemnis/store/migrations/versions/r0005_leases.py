"""Leases: which places of shared limits are taken, and the moments that rates were used up by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0005_leases"
down_revision = "r0004_lanes"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "lease",
        sa.Column("token", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_index("lease_by_name", "lease", ["name"])
    op.create_table(
        "turn",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("turn_by_name", "turn", ["name", "at"])


def downgrade() -> None:
    """Drop them: what is in them is over within a minute."""
    for name in ("turn", "lease"):
        op.drop_table(name)
