"""The gallery shows every page of the console, light and dark, and each picture that docs name is there."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed")
DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
screenshots, walking = map(import_module, ("screenshots", "walking"))

PICTURE = re.compile(r"\((?:docs/)?(img/[^)]+)\)")
MOST = 4_000_000


def test_every_page_has_its_pictures():
    told = set(PICTURE.findall((DOCS / "gallery.md").read_text(encoding="utf-8")))
    wanted = {
        f"img/{screenshots.file_name(name, scheme, width)}"
        for name in (*screenshots.ALONE, *walking.routes())
        for scheme, width in screenshots.pictures(name)
    }
    assert told == wanted, "`make screenshots` makes them"


def test_each_picture_is_there_and_shown_and_they_are_small():
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    named = {one for page in pages for one in PICTURE.findall(page.read_text(encoding="utf-8"))}
    there = {f"img/{path.name}" for path in (DOCS / "img").iterdir()}
    assert named == there
    assert sum(path.stat().st_size for path in (DOCS / "img").iterdir()) < MOST


def width(head):
    """Return how wide a WebP is by its first bytes (RFC 9649)."""
    assert (head[:4], head[8:12]) == (b"RIFF", b"WEBP")
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1
    assert head[12:16] == b"VP8 "
    return int.from_bytes(head[26:28], "little") & 0x3FFF


def test_a_picture_is_as_wide_as_its_name_says():
    there = [*(DOCS / "img").glob("console-*.webp")]
    assert there
    wrong = [path.name for path in there if f"-{width(path.read_bytes()[:30])}.webp" not in path.name]
    assert not wrong
