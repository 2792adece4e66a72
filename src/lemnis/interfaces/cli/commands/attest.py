"""``lemnis attest``: build provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lemnis.contracts.errors import InputError, Location, UsageError
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit

if TYPE_CHECKING:
    from lemnis.app import Workspace
    from lemnis.app.attest import Sign
    from lemnis.contracts.ids import Json

KeyOption = Annotated[Path | None, typer.Option(metavar="FILE", help="The builder's private key.")]
KeylessOption = Annotated[
    bool, typer.Option("--sigstore", help="Instead of --key: sign as the OIDC identity that is at hand.")
]
TokenOption = Annotated[
    str, typer.Option(metavar="NAME", help="--sigstore: the variable with the identity token; else ambient.")
]
NameOption = Annotated[str, typer.Option(help="The image's name in the statement.")]
OutOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the envelope there.")]
ImageOption = Annotated[str, typer.Option(metavar="DIGEST", help="The image: sha256: and 64 hex digits.")]


def register(app: typer.Typer) -> None:
    """Add the commands about attestations."""
    attest = group(app, "attest")
    attest.command("keygen")(keygen)
    attest.command("sign")(sign)
    attest.command("sbom")(sbom)
    attest.command("scan")(scan)
    attest.command("tests")(result_of_tests)
    attest.command("gate")(gate)
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
    builder: Annotated[str, typer.Option(help="The builder's id, as `builders:` in lemnis.yaml has it.")],
    repo: Annotated[Path, typer.Option(metavar="DIR", help="The repository it was built from.")],
    key: KeyOption = None,
    sigstore: KeylessOption = False,
    token_env: TokenOption = "",
    commit: Annotated[str, typer.Option(metavar="REV", help="The commit it was built from.")] = "HEAD",
    repository: Annotated[str, typer.Option(help="The repository's name in the provenance.")] = "",
    invocation: Annotated[str, typer.Option(help="The build run's id.")] = "",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=VALUE", help="What the build was asked for; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the envelope there.")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Sign an image's provenance (in-toto Statement v1, SLSA v1, DSSE) and keep it in vault and journal.

    With --sigstore it is signed without a key, and kept as a Sigstore bundle (v0.3); the public log then
    shows everybody who signed, and the statement's digest.

    Example: lemnis attest sign --image sha256:… --key builder --builder https://ci.example --repo .
    """
    from lemnis import app
    from lemnis.app import attest, pipeline

    opened = app.open_workspace(workspace)
    source = pipeline.open_repository(repo)
    resolved = source.resolve(commit)
    name = repository or pipeline.repository_name(opened, source)
    asked = dict(_pair(one) for one in parameters or ())
    envelope, digest = attest.sign(
        opened, image=image, key=_signer(opened, key, token_env, sigstore=sigstore), builder=builder,
        repository=name, commit=resolved, invocation=invocation, parameters=asked,
    )  # fmt: skip
    if out is not None:
        out.write_bytes(envelope)
    if json:
        emit({"digest": digest, "image": image, "commit": resolved, "repository": name, "builder": builder})
    else:
        console.print(f"signed: {image} was built from {name} at {resolved}; kept as {digest}")


def sbom(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CycloneDX JSON: what the image holds.")],
    image: ImageOption,
    key: KeyOption = None,
    sigstore: KeylessOption = False,
    token_env: TokenOption = "",
    name: NameOption = "",
    out: OutOption = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Attest an image's bill of materials.

    Example: lemnis attest sbom bom.json --image sha256:… --key builder
    """
    from lemnis import app
    from lemnis.app import attest_statements

    opened = app.open_workspace(workspace)
    by = _signer(opened, key, token_env, sigstore=sigstore)
    _state(opened, "sbom", attest_statements.sbom(file), image, by, name, out, json=json)


def scan(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="What is scanned: the sources, or the image.")],
    image: ImageOption,
    key: KeyOption = None,
    sigstore: KeylessOption = False,
    token_env: TokenOption = "",
    name: NameOption = "",
    out: OutOption = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Scan, and attest which scanners looked at how much, with what rules and data, and how much they found.

    Example: lemnis attest scan . --image sha256:… --key builder
    """
    from lemnis import app
    from lemnis.app import attest_statements

    opened = app.open_workspace(workspace)
    by = _signer(opened, key, token_env, sigstore=sigstore)
    _state(opened, "scan", attest_statements.scan(opened, path), image, by, name, out, json=json)


def result_of_tests(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="JUnit reports.")],
    image: ImageOption,
    key: KeyOption = None,
    sigstore: KeylessOption = False,
    token_env: TokenOption = "",
    name: NameOption = "",
    out: OutOption = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Attest the results of tests: which passed and which failed.

    Example: lemnis attest tests junit.xml --image sha256:… --key builder
    """
    from lemnis import app
    from lemnis.app import attest_statements

    opened = app.open_workspace(workspace)
    by = _signer(opened, key, token_env, sigstore=sigstore)
    _state(opened, "tests", attest_statements.tests(files), image, by, name, out, json=json)


def gate(
    image: ImageOption,
    key: KeyOption = None,
    sigstore: KeylessOption = False,
    token_env: TokenOption = "",
    stage: Annotated[str, typer.Option(help="The stage whose decision is attested.")] = "build",
    commit: Annotated[str, typer.Option(metavar="REV", help="The commit it was about.")] = "HEAD",
    repo: Annotated[Path, typer.Option(metavar="DIR", help="Its repository.")] = Path(),
    verifier: Annotated[str, typer.Option(help="Who decided, as a URI.")] = "urn:lemnis:gate",
    name: NameOption = "",
    out: OutOption = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Attest what a gate decided about the commit that an image was built from (a SLSA verification summary).

    Example: lemnis attest gate --image sha256:… --key builder --stage build --commit HEAD
    """
    from lemnis import app
    from lemnis.app import attest_statements, pipeline

    opened = app.open_workspace(workspace)
    subject = f"commit:{pipeline.open_repository(repo).resolve(commit)}"
    predicate = attest_statements.gate(opened, stage, subject, verifier=verifier)
    by = _signer(opened, key, token_env, sigstore=sigstore)
    _state(opened, "gate", predicate, image, by, name, out, json=json)


def _state(
    opened: Workspace,
    kind: str,
    predicate: Mapping[str, Json],
    image: str,
    key: Path | Sign,
    name: str,
    out: Path | None,
    *,
    json: bool,
) -> None:
    from lemnis.app import attest

    envelope, digest = attest.state(opened, kind, image=image, key=key, predicate=predicate, name=name)
    if out is not None:
        out.write_bytes(envelope)
    if json:
        emit({"digest": digest, "image": image, "kind": kind})
    else:
        console.print(f"attested: {kind} of {image}; kept as {digest}")


def _signer(opened: Workspace, key: Path | None, token_env: str, *, sigstore: bool) -> Path | Sign:
    """Return what signs: a key, or Sigstore."""
    from lemnis.app import attest_sigstore

    if sigstore and key is None:
        return attest_sigstore.signer(opened, token_env)
    if key is None or sigstore or token_env:
        raise UsageError("who signs?", fix="either --key FILE, or --sigstore (with --token-env NAME)")
    return key


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


def _pair(text: str) -> tuple[str, str]:
    name, sign_, value = text.partition("=")
    if not name or not sign_ or name == "source":
        raise UsageError(f"{text!r} is no parameter", fix="--parameter NAME=VALUE")
    return name, value


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=Location(str(file))) from error
