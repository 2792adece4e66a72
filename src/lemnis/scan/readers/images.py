"""The parts of an image's name (OCI distribution specification, and what Docker adds to short names)."""

from __future__ import annotations

from lemnis.contracts.ids import Json


def parts(image: str) -> dict[str, Json]:
    """Return ``registry``, ``name``, ``tag``, ``digest`` of an image's name; empty where not given."""
    rest, _, digest = image.strip().partition("@")
    head, slash, last = rest.rpartition("/")
    name, colon, tag = last.partition(":")
    whole = f"{head}{slash}{name}"
    first = whole.split("/", 1)[0]
    is_host = "/" in whole and ("." in first or ":" in first or first == "localhost")
    return {
        "registry": first if is_host else "docker.io",
        "name": whole.split("/", 1)[1] if is_host else whole,
        "tag": tag if colon else "",
        "digest": digest,
    }
