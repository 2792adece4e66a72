"""What the pages tell people to make is there to be made."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_RULE = re.compile(r"^(\w[\w ]*):(?!=)", re.MULTILINE)


def test_every_target_that_a_page_names_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    targets = {name for names in _RULE.findall(makefile) for name in names.split()}
    phony = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"`make (\w+)", page.read_text())}
    assert {"check", "screenshots"} <= named
    assert named <= targets
    assert named <= phony
