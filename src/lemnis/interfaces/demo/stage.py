"""What a story is made of: stages that run commands, check what came back, and tell it."""

from __future__ import annotations

import contextlib
import io
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule

from lemnis.content.library import examples_root
from lemnis.contracts.errors import LemnisError

Facts = dict[str, Any]


class StoryError(LemnisError):
    """A stage did not turn out as the loop needs it; the story ends here."""

    exit_code = 1


@dataclass(slots=True)
class Teller:
    """Tells the story to a person, or keeps silent for a machine."""

    console: Console
    quiet: bool = False

    def heading(self, stage: str, title: str) -> None:
        """Begin a stage."""
        if not self.quiet:
            self.console.print()
            self.console.print(Rule(f"[bold cyan]{stage}[/]  {escape(title)}", align="left", style="dim"))

    def command(self, line: str) -> None:
        """Show a command as a person would type it."""
        if not self.quiet:
            self.console.print(f"[dim]$[/] [green]{escape(line)}[/]", soft_wrap=True)

    def say(self, text: str) -> None:
        """Say one line; ``text`` may hold markup."""
        if not self.quiet:
            self.console.print(f"  {text}")

    def show(self, renderable: object) -> None:
        """Show a table or a panel."""
        if not self.quiet:
            self.console.print(renderable)


@dataclass(slots=True)
class Stage:
    """A running story: where it plays, how it is told, and what later stages need of earlier ones."""

    folder: Path
    teller: Teller
    environment: Mapping[str, str] = field(default_factory=dict)
    known: Facts = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        """The workspace of the story."""
        return self.folder / "soc"

    @property
    def shop(self) -> Path:
        """The repository of the service."""
        return self.folder / "shop"

    def lemnis(self, *arguments: str, expect: tuple[int, ...] = (0,), shown: bool = False) -> list[Facts]:
        """Run one command of ours with ``--json`` in this process; return the documents it printed.

        ``shown`` lets people see, besides, what the same command prints for them: for commands that change
        nothing. Raises StoryError when it exits otherwise than expected.
        """
        from lemnis.interfaces.cli import run  # noqa: PLC0415 - the command line imports this package

        self.teller.command(shlex.join(["lemnis", *(_short(a, self.folder) for a in arguments)]))
        if shown and not self.teller.quiet:
            run([*arguments])
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*arguments, "--json"])
        if code not in expect:
            words = err.getvalue().strip() or out.getvalue().strip()[-500:]
            raise StoryError(f"lemnis {arguments[0]} exited {code}: {words}")
        return [orjson.loads(line) for line in out.getvalue().splitlines() if line.strip()]

    def program(self, *arguments: str) -> str:
        """Run another program and return what it printed; raises StoryError when it fails."""
        self.teller.command(shlex.join(_short(a, self.folder) for a in arguments))
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise StoryError(f"{arguments[0]} exited {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def need(self, condition: object, otherwise: str) -> None:
        """Go on only if the condition holds."""
        if not condition:
            raise StoryError(otherwise)


Tell = Callable[[Stage], Facts]


def tell(stage: Stage, chapters: Mapping[str, tuple[str, Tell]]) -> Iterator[Facts]:
    """Run the chapters in order; yield each one's facts; end after the first that is not ok."""
    for name, (title, chapter) in chapters.items():
        stage.teller.heading(name, title)
        began = time.perf_counter()
        try:
            facts = chapter(stage)
        except LemnisError as error:
            stage.teller.say(f"[red]✗ {escape(str(error))}[/]")
            yield {"stage": name, "ok": False, "error": str(error)}
            return
        stage.known.update(facts)
        yield {"stage": name, "ok": True, **facts, "seconds": round(time.perf_counter() - began, 2)}


def _short(argument: str, folder: Path) -> str:
    """Show an argument as a person in the story's folder would type it."""
    if argument == sys.executable:
        return "python3"
    for prefix, instead in ((folder, ""), (examples_root(), "examples/")):
        if argument.startswith(f"{prefix}/"):
            return instead + argument.removeprefix(f"{prefix}/")
    return argument
