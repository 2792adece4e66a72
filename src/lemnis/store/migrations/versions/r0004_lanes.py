"""What workers of a cluster share: how far each lane is done, what claimed a record, and checkpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0004_lanes"
down_revision = "r0003_reference"


def upgrade() -> None:
    """Make the tables; they stay empty where there is no cluster."""
    op.create_table(
        "lane",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("planned", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "claim",
        sa.Column("key", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
    )
    op.create_index("claim_by_day", "claim", ["day"])
    op.create_table(
        "checkpoint",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Drop them: a cluster that was emptied first has nothing in them."""
    for name in ("checkpoint", "claim", "lane"):
        op.drop_table(name)
