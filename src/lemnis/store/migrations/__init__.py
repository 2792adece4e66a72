"""Alembic migrations of the database; one file a revision in ``versions``."""
