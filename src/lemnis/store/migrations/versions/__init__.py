"""Revisions; a file's name is its revision id."""
