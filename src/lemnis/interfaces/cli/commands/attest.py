"""``lemnis attest``: build provenance."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lemnis.contracts.errors import InputError, Location
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit

ImageOption = Annotated[str, typer.Option(metavar="DIGEST", help="The image: sha256: and 64 hex digits.")]


def register(app: typer.Typer) -> None:
    """Add the commands about attestations."""
    attest = group(app, "attest")
    attest.command("keygen")(keygen)
    attest.command("sign")(sign)
    attest.command("import")(import_)
    attest.command("verify")(verify)


def keygen(
    private: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.")],
    json: JsonOption = False,
) -> None:
    """Make a builder's key pair (Ed25519): FILE, readable by you only, and FILE.pub for `builders:`.

    Example: lemnis attest keygen ~/.lemnis/builder
    """
    from lemnis.app import attest

    public = attest.keygen(private)
    if json:
        emit({"private": str(private), "public": str(public)})
    else:
        console.print(f"private key in {escape(str(private))}, public key in {escape(str(public))}")


def sign(
    image: ImageOption,
    key: Annotated[Path, typer.Option(metavar="FILE", help="The builder's private key.")],
    builder: Annotated[str, typer.Option(help="The builder's id, as `builders:` in lemnis.yaml has it.")],
    repo: Annotated[Path, typer.Option(metavar="DIR", help="The repository it was built from.")],
    commit: Annotated[str, typer.Option(metavar="REV", help="The commit it was built from.")] = "HEAD",
    repository: Annotated[str, typer.Option(help="The repository's name in the provenance.")] = "",
    invocation: Annotated[str, typer.Option(help="The build run's id.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the envelope there.")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Sign an image's provenance (in-toto Statement v1, SLSA v1, DSSE) and keep it in vault and journal.

    Example: lemnis attest sign --image sha256:… --key builder --builder https://ci.example --repo .
    """
    from lemnis import app
    from lemnis.app import attest, pipeline

    opened = app.open_workspace(workspace)
    source = pipeline.open_repository(repo)
    resolved = source.resolve(commit)
    name = repository or pipeline.repository_name(opened, source)
    envelope, digest = attest.sign(
        opened, image=image, key=key, builder=builder, repository=name, commit=resolved, invocation=invocation
    )
    if out is not None:
        out.write_bytes(envelope)
    if json:
        emit({"digest": digest, "image": image, "commit": resolved, "repository": name, "builder": builder})
    else:
        console.print(f"signed: {image} was built from {name} at {resolved}; kept as {digest}")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A DSSE envelope or Sigstore bundle.")],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Keep an attestation that was made elsewhere; it is verified whenever it is used.

    Example: lemnis attest import provenance.intoto.json
    """
    from lemnis import app
    from lemnis.app import attest

    digest, images = attest.keep(app.open_workspace(workspace), _read(file), str(file))
    if json:
        emit({"digest": digest, "images": images})
    else:
        console.print(f"kept as {digest}, about {', '.join(images)}")


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A DSSE envelope or Sigstore bundle.")],
    image: ImageOption,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Verify an attestation for an image, check by check, against the trusted builders; exit 1 if one fails.

    With --json one object a check: `{"name", "ok", "detail"}`, `ok` null where it was not come to.

    Example: lemnis attest verify provenance.intoto.json --image sha256:…
    """
    from lemnis import app
    from lemnis.app import attest

    checks = attest.verify(app.open_workspace(workspace), _read(file), image, str(file))
    marks = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}
    for check in checks:
        if json:
            emit(asdict(check))
        else:
            words = check.detail or ("holds" if check.ok else "not come to")
            console.print(f"{marks[check.ok]} {check.name}: {escape(words)}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=Location(str(file))) from error
