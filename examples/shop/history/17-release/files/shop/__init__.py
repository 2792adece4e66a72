"""A small web shop."""

__version__ = "1.6.0"
