"""The command line. Each module in ``commands`` adds its commands by a function ``register(app)``."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import pkgutil
import sys
from typing import Annotated

import typer

from lemnis import __version__
from lemnis.app import logs
from lemnis.contracts.errors import InputError, LemnisError, Location, ServiceError
from lemnis.interfaces.cli import commands
from lemnis.interfaces.cli.output import report

_SELDOM = (100_000, 20, 50)
"""When to look for garbage: most of what a command makes is content, and lives as long as it does."""
_PATHS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


def build() -> typer.Typer:
    """Build the whole command tree from the modules in ``commands``; there is no central list."""
    app = typer.Typer(
        name="lemnis",
        help="One platform for the security operations centre and the development pipeline.",
        invoke_without_command=True,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda found: found.name):
        importlib.import_module(f"{commands.__name__}.{module.name}").register(app)
    return app


def asked(app: typer.Typer, arguments: list[str]) -> typer.Typer:
    """Leave only the command or group that a command line begins with, if it does: the others take time."""
    first = arguments[0] if arguments else ""
    groups = [one for one in app.registered_groups if one.name == first]
    commands = [one for one in app.registered_commands if one.name == first]
    if groups or commands:
        app.registered_groups, app.registered_commands = groups, commands
    return app


def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,  # noqa: FBT002
    log_level: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="debug, info, warning or error; else LEMNIS_LOG; to stderr."),
    ] = None,
) -> None:
    """Print the version, or go on to the command."""
    logs.ask(log_level)
    logs.configure()
    if version:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


def run(arguments: list[str]) -> int:
    """Run one command line in this process and return its exit code; errors are printed, not raised."""
    gc.set_threshold(*_SELDOM)
    command = typer.main.get_command(asked(build(), arguments))
    try:
        command.main(args=arguments, prog_name="lemnis")
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer and rich would call it a failure
            return 0
        return stop.code if isinstance(stop.code, int) else 0
    except LemnisError as error:
        report(error)
        return error.exit_code
    except OSError as error:
        if error.filename is None or isinstance(error, ConnectionError) or os.environ.get("LEMNIS_TRACEBACK"):
            raise
        refused = _of_a_file(error)
        report(refused)
        return refused.exit_code
    return 0


def _of_a_file(error: OSError) -> LemnisError:
    """Return what a file that cannot be read or written means: a wrong path, or a machine in trouble."""
    what, at = error.strerror or str(error), Location(str(error.filename))
    if isinstance(error, _PATHS):
        return InputError(what.lower(), at=at, fix="check the path and the rights to it")
    return ServiceError(what.lower(), at=at, fix="check the disk that it is on: space, rights, faults")


def main() -> None:
    """Entry point of ``lemnis``: what nobody foresaw is told in a line, whole with LEMNIS_TRACEBACK=1."""
    logging.captureWarnings(capture=True)
    try:
        code = run(sys.argv[1:])
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if os.environ.get("LEMNIS_TRACEBACK"):
            raise
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        report(
            ServiceError(f"a defect of Lemnis: {what}", fix="LEMNIS_TRACEBACK=1 shows where; please report")
        )
        code = ServiceError.exit_code
    sys.exit(code)
