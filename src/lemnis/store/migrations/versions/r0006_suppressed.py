"""What exceptions hold back: how many alerts a day, and how many of them were kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0006_suppressed"
down_revision = "r0005_leases"


def upgrade() -> None:
    """Make the table of counts."""
    op.create_table(
        "suppressed",
        sa.Column("exception", sa.Text(), primary_key=True),
        sa.Column("day", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("alerts", sa.BigInteger(), nullable=False),
        sa.Column("kept", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("suppressed")
