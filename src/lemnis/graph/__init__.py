"""Service: entities and provenance: who runs what, built from what, owned by whom."""

from lemnis.graph.store import Graph, walk

__all__ = ["Graph", "walk"]
