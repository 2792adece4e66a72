"""Writes docs/reference from the code: the command line, the error tree and the settings.

python docs/generate.py            write
python docs/generate.py --check    exit 1 and name the pages that no longer match the code
"""

from __future__ import annotations

import argparse
import inspect
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pydantic
import typer

from lemnis import app
from lemnis.content.library import KINDS, Library
from lemnis.content.schemas import settings
from lemnis.contracts import errors
from lemnis.ingest.sources import Sources
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


def settings_page() -> str:
    """Render ``lemnis.yaml`` and the environment variables."""
    example = inspect.cleandoc(settings.__doc__ or "").replace("::\n\n", "", 1).replace("``", "`")
    parts = [NOTE, f"# Settings\n\n{example}\n"]
    for model in models(settings.Settings):
        summary = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
        parts.append(f"\n## {model.__name__}\n\n{summary}\n\n| key | type | default |\n|---|---|---|\n")
        for name, field in model.model_fields.items():
            default = (
                "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
            )
            parts.append(f"| `{name}` | {cell(kind(field.annotation))} | {cell(default)} |\n")
    parts.append("\n## Environment\n\n| variable | meaning |\n|---|---|\n")
    parts.extend(f"| `{name}` | {cell(meaning)} |\n" for name, meaning in sorted(app.ENVIRONMENT.items()))
    return "".join(parts)


def models(model: type[pydantic.BaseModel]) -> Iterator[type[pydantic.BaseModel]]:
    """Yield a model and the models in its fields."""
    yield model
    for field in model.model_fields.values():
        for part in (field.annotation, *inner(field.annotation)):
            if isinstance(part, type) and issubclass(part, pydantic.BaseModel):
                yield from models(part)


def inner(annotation: object) -> Iterator[object]:
    """Yield the types inside a type."""
    for part in typing.get_args(annotation):
        yield part
        yield from inner(part)


def kind(annotation: object) -> str:
    """Spell a type for readers."""
    found = [part.__name__ for part in inner(annotation) if isinstance(part, type)]
    name = getattr(typing.get_origin(annotation) or annotation, "__name__", str(annotation))
    return f"{name} of {', '.join(dict.fromkeys(found))}" if found else name


def content_page() -> str:
    """Render what ships: sources with their classes and the rules they serve, and every other item."""
    library = Library.open()
    parts = [NOTE, "# Content that ships\n\n## Sources\n\n"]
    parts.append("| name | what | OCSF classes | Sigma log sources |\n|---|---|---|---|\n")
    for name, source in Sources.load(library).by_name.items():
        classes = ", ".join(dict.fromkeys(entry.class_ for entry in source.mapping.events))
        served = dict.fromkeys(
            part for r in source.file.sigma.routes for part in (*r.product, *r.category, *r.service)
        )
        parts.append(f"| `{name}` | {cell(source.file.title)} | {classes} | {', '.join(served)} |\n")
    for kind in (kind for kind in KINDS if kind != "sources"):
        items = library.items(kind)
        if items:
            parts.append(f"\n## {kind.capitalize()}\n\n" + "".join(f"- `{name}`\n" for name in items))
    return "".join(parts)


PAGES = {
    "content.md": content_page,
    "commands.md": command_page,
    "errors.md": error_page,
    "settings.md": settings_page,
}


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
