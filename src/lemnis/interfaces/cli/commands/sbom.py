"""``lemnis sbom``: a bill of materials of a folder's lock files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.markup import escape

from lemnis.interfaces.cli.output import JsonOption, console, counted, emit, warn

_UNKNOWN = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sbom")(sbom)


def sbom(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder with the lock files.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Where it goes; else to stdout.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write CycloneDX 1.6 of what a folder's lock files name; exit 3 if one cannot be read or there is none.

    With --json and a file: `{"components", "files", "out"}`.

    Example: lemnis sbom . -o bom.cdx.json
    """
    from lemnis import __version__
    from lemnis import app as workspaces
    from lemnis.app import vulnerabilities
    from lemnis.scan import sbom_write
    from lemnis.scan.inventory import take

    files = sorted(take(path).files)
    made, errors = vulnerabilities.sbom_of(path, files)
    document = sbom_write.write(made, now=workspaces.default_clock().now(), version=__version__)
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    read = sorted({one.path for one in made.components})
    if out is None:
        emit(document) if json else typer.echo(text.decode())
    else:
        out.write_bytes(text)
        if json:
            emit({"components": len(made.components), "files": read, "out": str(out)})
        else:
            console.print(
                f"{counted(len(made.components), 'component')} of {counted(len(read), 'file')} in "
                f"{escape(str(out))}"
            )
    for error in errors:
        warn(error)
    if not made.components:
        warn("no lock file here names a component")
    if errors or not made.components:
        raise typer.Exit(_UNKNOWN)
