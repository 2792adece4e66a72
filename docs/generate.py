"""Writes docs/reference from the code: the command line, the error tree, the settings, the sources.

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
from lemnis.app.sources import routes
from lemnis.content import yaml
from lemnis.content.library import KINDS, Library
from lemnis.content.schemas import settings
from lemnis.content.schemas import source as source_schema
from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts import errors
from lemnis.ingest import transports
from lemnis.ingest.mapping_lineage import origins
from lemnis.ingest.mapping_plan import ORIGINAL_TIME
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
    parts.extend(keys(model, "##", model.__name__) for model in models(settings.Settings))
    for name in transports.names():
        module = transports.get(name)
        about = inspect.cleandoc(module.__doc__ or "").replace("``", "`").replace("::\n\n", "\n")
        parts.append(f"\n## Transports of kind {name}\n\n{about}\n")
        parts.extend(keys(model, "###", f"{name}: {model.__name__}") for model in models(module.Settings))
    parts.append("\n## Environment\n\n| variable | meaning |\n|---|---|\n")
    parts.extend(f"| `{name}` | {cell(meaning)} |\n" for name, meaning in sorted(app.ENVIRONMENT.items()))
    return "".join(parts)


def keys(model: type[pydantic.BaseModel], level: str, title: str) -> str:
    """Render the keys of a model."""
    summary = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
    rows = []
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        shown = default if field.is_required() else f"`{default}`"
        rows.append(f"| `{name}` | {cell(kind(field.annotation))} | {cell(shown)} |\n")
    return f"\n{level} {title}\n\n{summary}\n\n| key | type | default |\n|---|---|---|\n{''.join(rows)}"


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
        classes = "each record's own" if source.mapping.passthrough else classes
        served = dict.fromkeys(
            part for r in source.file.sigma.routes for part in (*r.product, *r.category, *r.service)
        )
        parts.append(f"| `{name}` | {cell(source.file.title)} | {classes} | {', '.join(served)} |\n")
    for kind in (kind for kind in KINDS if kind != "sources"):
        items = library.items(kind)
        if items:
            parts.append(f"\n## {kind.capitalize()}\n\n" + "".join(f"- `{name}`\n" for name in items))
    return "".join(parts)


def sources_page() -> str:
    """Render every source: how it is read, and which raw fields its OCSF attributes come from."""
    sources = Sources.load(Library.open()).by_name
    parts = [
        NOTE,
        f"# Sources\n\nThe {len(sources)} sources that ship, and where each attribute of their events\n",
    ]
    parts.append("comes from. `lemnis sources explain NAME FILE` says it of one record.\n\n")
    parts += [f"[{name}](#{name}) · " for name in sources]
    for name, source in sources.items():
        file = source.file
        parts.append(f"\n\n## {name}\n\n{cell(file.title)} ({cell(file.vendor)} {cell(file.product)})")
        parts.append(f", read by the parser `{file.parser}`.\n\n")
        parts += [f"- {what}: {text}\n" for what, text in facts(source) if text]
        if source.mapping.passthrough:
            parts.append("\nRecords keep their OCSF class; each attribute is taken as it is.\n")
        else:
            parts.append("\n| OCSF | raw fields | entries |\n|---|---|---|\n")
            parts += [f"| `{path}` | {raw} | {where} |\n" for path, raw, where in mapped(source)]
    return "".join(parts)


def facts(source: LoadedSource) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a source beside its fields."""
    view, own = source.file.sigma, source.mapping
    if not own.passthrough:
        yield "entries", ", ".join(f"{one.name} ({one.class_})" for one in own.events)
    yield "Sigma log sources", ", ".join(f"`{one}`" for one in routes(source))
    yield "Sigma fields of other names", ", ".join(f"`{name}`" for name in sorted(view.fields))
    yield "named by", ", ".join(f"`{'` or `'.join(names)}`" for names in source.file.identity)
    personal = {
        name
        for one in (own.common, *own.events)
        for lines in one.set.values()
        for line in lines
        if line.personal
        for name in line.source
    }
    yield "personal data", ", ".join(f"`{cell(name)}`" for name in sorted(personal))


def mapped(source: LoadedSource) -> Iterator[tuple[str, str, str]]:
    """Yield each OCSF path with the raw fields that it is made of, and the entries that have it."""
    fields: dict[str, dict[str, None]] = {}
    entries: dict[str, list[str]] = {}
    for origin in origins(source):
        if origin.path not in {"class_uid", ORIGINAL_TIME}:
            fields.setdefault(origin.path, {}).update(dict.fromkeys(origin.raw))
            entries.setdefault(origin.path, []).append(origin.entry)
    for path in sorted(fields):
        raw = ", ".join(f"`{cell(name)}`" for name in fields[path]) or "fixed"
        every = len(set(entries[path])) == len(source.mapping.events)
        yield path, raw, "all" if every else ", ".join(dict.fromkeys(entries[path]))


def mapping_page() -> str:
    """Render the language of ``source.yaml`` and ``mapping.yaml``."""
    text = inspect.cleandoc(source_schema.__doc__ or "").replace("::\n", ":\n").replace("``", "`")
    title, _, rest = text.partition("\n\n")
    times = inspect.cleandoc(source_schema.TimeLine.__doc__ or "").replace("``", "`")
    return f"{NOTE}# The mapping language\n\n{title}\n\n{rest}\n\n## Times\n\n{times}\n"


def actions_page() -> str:
    """Render what each action does, to whom it is said, what undo and caps are, and which rights it needs."""
    parts = [NOTE, "# Actions and playbooks\n\n"]
    library = Library.open()
    loaded = {name: yaml.load(item.manifest, Action) for name, item in library.items("actions").items()}
    parts.append("| action | does | connection | effect | looked at | at most, an hour | least rights |\n")
    parts.append("|---|---|---|---|---|---|---|\n")
    for name, one in loaded.items():
        reads = one.effect == "read"
        effect = {"read": "reads", "reversible": "can be undone", "irreversible": "final"}[one.effect]
        looked = "" if reads else "no: " + one.blind if one.blind else "yes"
        cap = "" if reads else str(one.caps.targets_per_hour)
        row = (f"`{name}`", one.title, f"`{one.connection}`", effect, looked, cap, ", ".join(one.scopes))
        parts.append(f"| {' | '.join(map(cell, row))} |\n")
    parts.append("\n| playbook | for | approval | actions |\n|---|---|---|---|\n")
    for name, item in library.items("playbooks").items():
        playbook = yaml.load(item.manifest, Playbook)
        used = dict.fromkeys(f"`{step.action}`" for step in playbook.walk() if step.action)
        terms = playbook.approval
        who = f"{terms.quorum} of {terms.role}" if terms.role else str(terms.quorum)
        row = (f"`{name}`", playbook.title, who, ", ".join(used))
        parts.append(f"| {' | '.join(map(cell, row))} |\n")
    return "".join(parts)


PAGES = {
    "mapping.md": mapping_page,
    "sources.md": sources_page,
    "actions.md": actions_page,
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
