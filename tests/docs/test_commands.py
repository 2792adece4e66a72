"""Every command is helped: a summary and an example."""

import pytest
import typer

from lemnis.interfaces.cli import build


def leaves(command, path=()):
    for name, child in getattr(command, "commands", {}).items():
        if getattr(child, "commands", None):
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name), child


COMMANDS = list(leaves(typer.main.get_command(build())))


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_help_has_summary_and_example(path, command):
    assert command.help, path
    assert "Example" in command.help, path
    if path != ("lsp",):  # what it says on standard output is the protocol's JSON
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, path
