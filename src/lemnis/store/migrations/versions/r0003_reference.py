"""Reference tables: one row a change, which holds the records that it brought."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0003_reference"
down_revision = "r0002_graph"


def upgrade() -> None:
    """Make the table of changes."""
    op.create_table(
        "reference",
        sa.Column("revision", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("table", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("reference")
