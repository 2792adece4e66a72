"""Access: accounts, sessions, tokens, one-time codes, failed tries, passkeys, answered requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0009_access"
down_revision = "r0008_graph"


def upgrade() -> None:
    """Make the tables. Secrets are kept as hashes, or sealed where they must be had back."""
    text, number = sa.Text(), sa.BigInteger()
    op.create_table(
        "access_account",
        sa.Column("id", text, primary_key=True),
        sa.Column("name", text, nullable=False, unique=True),
        sa.Column("roles", text, nullable=False),
        sa.Column("teams", text, nullable=False),
        sa.Column("password", text, nullable=False),
        sa.Column("second", text, nullable=False),
        sa.Column("outside", text, nullable=False),
        sa.Column("disabled", sa.Integer(), nullable=False),
        sa.Column("created", number, nullable=False),
        sa.Column("changed", number, nullable=False),
    )
    op.create_index("access_account_outside", "access_account", ["outside"])
    op.create_table(
        "access_session",
        sa.Column("id", text, primary_key=True),
        sa.Column("account", text, nullable=False),
        sa.Column("how", text, nullable=False),
        sa.Column("began", number, nullable=False),
        sa.Column("seen", number, nullable=False),
        sa.Column("until", number, nullable=False),
        sa.Column("address", text, nullable=False),
        sa.Column("agent", text, nullable=False),
    )
    op.create_index("access_session_account", "access_session", ["account"])
    op.create_table(
        "access_token",
        sa.Column("id", text, primary_key=True),
        sa.Column("account", text, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("hash", text, nullable=False, unique=True),
        sa.Column("scopes", text, nullable=False),
        sa.Column("created", number, nullable=False),
        sa.Column("until", number, nullable=False),
        sa.Column("used", number),
    )
    op.create_index("access_token_account", "access_token", ["account"])
    op.create_table(
        "access_once",
        sa.Column("hash", text, primary_key=True),
        sa.Column("kind", text, nullable=False),
        sa.Column("data", text, nullable=False),
        sa.Column("until", number, nullable=False),
    )
    op.create_table(
        "access_failure",
        sa.Column("id", number.with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("what", text, nullable=False),
        sa.Column("at", number, nullable=False),
    )
    op.create_index("access_failure_what", "access_failure", ["what", "at"])
    op.create_table(
        "access_passkey",
        sa.Column("id", text, primary_key=True),
        sa.Column("account", text, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("key", text, nullable=False),
        sa.Column("count", number, nullable=False),
        sa.Column("created", number, nullable=False),
        sa.Column("used", number),
    )
    op.create_index("access_passkey_account", "access_passkey", ["account"])
    op.create_table(
        "access_answered",
        sa.Column("account", text, primary_key=True),
        sa.Column("key", text, primary_key=True),
        sa.Column("request", text, nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", text, nullable=False),
        sa.Column("at", number, nullable=False),
    )
    op.create_index("access_answered_at", "access_answered", ["at"])


def downgrade() -> None:
    """Drop them: whoever had an account has to be added anew."""
    for name in ("answered", "passkey", "failure", "once", "token", "session", "account"):
        op.drop_table(f"access_{name}")
