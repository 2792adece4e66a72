"""What a team does besides: 26 changes of all sorts in which there is nothing wrong, and histories built around them."""

from collections.abc import Sequence

from harness import Change

_LABELS = """\
def initials(name):
    return "".join(part[0] for part in name.split() if part).upper()
"""
_PRICES = """\
from decimal import ROUND_HALF_UP, Decimal

def rounded(amount):
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
"""
_DATES = """\
from datetime import date, timedelta

def delivery(ordered, days=3):
    found = ordered
    while days:
        found += timedelta(days=1)
        days -= found.weekday() < 5
    return found

def today():
    return date.today()
"""
_PAGES = """\
def pages(count, size=20):
    return max(1, -(-count // size))
"""
_SLUG = """\
import re

def slug(title):
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
"""
_TEXT = """\
import textwrap

def excerpt(text, most=120):
    return textwrap.shorten(text, most, placeholder="…")
"""
_CSV = """\
import csv
import io

def rows(text):
    return list(csv.DictReader(io.StringIO(text)))
"""
_CACHE = """\
from functools import lru_cache

@lru_cache(maxsize=1000)
def rate(country):
    return {"de": 19, "fr": 20, "gb": 20}.get(country, 0)
"""
_BASKET = """\
class Basket {
  constructor() { this.lines = new Map(); }
  add(article, count = 1) { this.lines.set(article, (this.lines.get(article) || 0) + count); }
  get size() { return [...this.lines.values()].reduce((sum, one) => sum + one, 0); }
}
module.exports = { Basket };
"""
_MENU = """\
document.querySelectorAll("[data-menu]").forEach((one) => {
  one.addEventListener("click", () => one.classList.toggle("open"));
});
"""
_TEST_PRICES = """\
from decimal import Decimal

from helpers.prices import rounded

def test_half_up():
    assert str(rounded(Decimal("1.005"))) == "1.01"
"""
_TEST_PAGES = """\
from helpers.pages import pages

def test_pages():
    assert [pages(0), pages(20), pages(21)] == [1, 1, 2]
"""
_CHANGES = (
    ("Say what the service is", "docs/index.md", "# The service\n\nIt answers customers.\n"),
    ("Rounding of prices", "helpers/prices.py", _PRICES),
    ("Test the rounding", "tests/test_prices.py", _TEST_PRICES),
    ("Style: the menu folds on small screens", "web/menu.css", ".menu.open { display: block; }\n"),
    ("Menu opens by a click", "web/menu.js", _MENU),
    ("Orders get a note", "db/0001_note.sql", "ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT '';\n"),
    ("Initials for avatars", "helpers/labels.py", _LABELS),
    ("Working days of a delivery", "helpers/dates.py", _DATES),
    ("How to release", "docs/release.md", "# Releases\n\nTag, wait for the build, tell the others.\n"),
    ("Formatting as everybody has it", ".editorconfig", "root = true\n\n[*]\nindent_style = space\n"),
    ("Pages of a long list", "helpers/pages.py", _PAGES),
    ("Test the pages", "tests/test_pages.py", _TEST_PAGES),
    ("Names for addresses of articles", "helpers/slug.py", _SLUG),
    ("German texts", "web/texts.de.json", '{"basket": "Warenkorb", "checkout": "Kasse"}\n'),
    ("French texts", "web/texts.fr.json", '{"basket": "Panier", "checkout": "Caisse"}\n'),
    ("Find articles by name", "db/0002_names.sql", "CREATE INDEX articles_name ON articles (lower(name));\n"),
    ("Excerpts of descriptions", "helpers/excerpts.py", _TEXT),
    ("Basket counts its lines", "web/basket.js", _BASKET),
    ("Read price lists", "helpers/lists.py", _CSV),
    ("Rates by country", "helpers/rates.py", _CACHE),
    ("Who to ask", "docs/people.md", "# People\n\nAsk the team's channel first.\n"),
    ("Print style", "web/print.css", "@media print { nav { display: none; } }\n"),
    ("Orders know their channel", "db/0003_channel.sql", "ALTER TABLE orders ADD COLUMN channel text;\n"),
    ("Correct a word in the release notes", "docs/release.md",
     "# Releases\n\nTag, wait for the build, tell the other teams.\n"),
    ("Robots", "web/robots.txt", "User-agent: *\nDisallow: /basket\n"),
    ("Forget the old print style", "web/print.css", None),
)  # fmt: skip
_AUTHORS = ("Kim Dev", "Noor Ops", "Sam Front", "Alex Data")
EVERYDAY = tuple(
    Change(subject, {path: text}, author=_AUTHORS[number % len(_AUTHORS)])
    for number, (subject, path, text) in enumerate(_CHANGES)
)


def history(
    begin: Change, culprit: Change, near: Sequence[Change] = (), *, fix: Change | None = None
) -> tuple[Change, ...]:
    """Return a history: begin, half of the everyday changes and near misses, the culprit, the rest, the fix.

    With ``begin`` and 26 everyday changes, three near misses and a fix make 31 others.
    """
    half, some = len(EVERYDAY) // 2, len(near) // 2
    before = (begin, *EVERYDAY[:half], *near[:some])
    return (*before, culprit, *near[some:], *EVERYDAY[half:], *([fix] if fix else []))
