"""Service: finds, validates and versions content; a workspace overlays what is built in."""
