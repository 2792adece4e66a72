"""The pages say what is so: commands in them exist with their options, links lead somewhere, the reference is fresh."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import typer

from lemnis import app
from lemnis.interfaces.cli import build

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("README.md")])
COMMAND = re.compile(r"""^\s*(?:\$ )?lemnis ((?:"[^"\n]*"|'[^'\n]*'|[^\n#|>"'])+)""", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
FENCE = re.compile(r"```(?:console|sh)\n(.*?)```", re.DOTALL)
PERSONAS = (
    "analyst",
    "detection-engineer",
    "responder",
    "developer",
    "platform-engineer",
    "compliance-privacy-officer",
)


def written():
    for page in PAGES:
        for block in FENCE.findall(page.read_text(encoding="utf-8")):
            text = block.replace("\\\n", " ")
            for match in COMMAND.finditer(text):
                yield page.relative_to(ROOT).as_posix(), match.group(1).strip()


WRITTEN = sorted(set(written()))


@cache
def whole():
    """The command tree; it takes a third of a second to build."""
    return typer.main.get_command(build())


@pytest.mark.parametrize(("page", "line"), WRITTEN, ids=[f"{page}: {line[:60]}" for page, line in WRITTEN])
def test_a_command_in_a_page_exists(page, line):
    command, words = whole(), shlex.split(line)
    while getattr(command, "commands", None) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert not getattr(command, "commands", None) or not words or words[0].startswith("-"), (
        f"no command: {line}"
    )
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h", "--version"}
    unknown = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"} - known
    assert not unknown, f"no such option: {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_the_reference_is_what_the_code_says():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("persona", PERSONAS)
def test_every_persona_has_a_tutorial(persona):
    assert any(page == f"docs/tutorials/{persona}.md" for page, _ in WRITTEN), persona


def test_every_variable_is_documented():
    read = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"LEMNIS_[A-Z_]+", path.read_text(encoding="utf-8"))
    }
    assert read == set(app.ENVIRONMENT)
