"""Service: entities and provenance: who runs what, built from what, owned by whom."""
