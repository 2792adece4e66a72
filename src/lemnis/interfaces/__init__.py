"""Surfaces: parse, call, render; no logic."""
