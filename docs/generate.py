"""Writes docs/reference from the code: the command line, the error tree and the content kinds.

python docs/generate.py            write
python docs/generate.py --check    exit 1 and name the pages that no longer match the code
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from lemnis.contracts import errors
from lemnis.interfaces.cli import build

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the code; do not edit. -->\n\n"


def commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield every command that does something, with the words that call it."""
    children = getattr(command, "commands", None)
    if children is not None:
        for name in sorted(children):
            yield from commands(children[name], (*path, name))
    else:
        yield path, command


def cell(text: str) -> str:
    """Make a text fit into a table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def command_page() -> str:
    """Render one section a command: what it does, its arguments and options."""
    parts = [NOTE, "# Commands\n"]
    for path, command in commands(typer.main.get_command(build())):
        parts.append(f"\n## `lemnis {' '.join(path)}`\n\n{inspect.cleandoc(command.help or '')}\n")
        rows = []
        for parameter in command.params:
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            if parameter.param_type_name == "argument":
                names = f"`{(parameter.metavar or parameter.name or '').upper()}`"
            if "--help" not in parameter.opts:
                rows.append(f"| {names} | {cell(getattr(parameter, 'help', '') or '')} |")
        if rows:
            parts.append("\n| argument or option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "".join(parts)


def error_page() -> str:
    """Render the error tree and its exit codes."""
    tree = inspect.cleandoc(errors.__doc__ or "").partition("\n\n")[2]
    return f"{NOTE}# Errors and exit codes\n\n```\n{tree}\n```\n"


PAGES = {"commands.md": command_page, "errors.md": error_page}


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, render in PAGES.items():
        page, text = REFERENCE / name, render()
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                page.parent.mkdir(exist_ok=True)
                page.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{'stale' if check else 'written'}: docs/reference/{name}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
