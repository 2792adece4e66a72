"""Lemnis: the security operations centre and the development pipeline in one loop."""

__version__ = "0.1.0"
