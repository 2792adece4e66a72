"""Templates: what they are given is escaped, shows what hides in it, and names nobody who is hidden."""

from __future__ import annotations

import html
from pathlib import Path

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from markupsafe import Markup

from lemnis.contracts.counting import counted
from lemnis.interfaces.web import words
from lemnis.interfaces.web.words import Ours


class _Code(CodeGenerator):
    """Writes templates as code in which their own texts are ours, wherever they are handed to."""

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        value = node.as_const(frame.eval_ctx)
        if type(value) is str:
            self.write(f"environment.ours({value!r})")
        else:
            super().visit_Const(node, frame)


class Environment(jinja2.Environment):
    """Templates of a folder, each read once."""

    code_generator_class = _Code
    ours = Ours

    def __init__(self, folder: Path) -> None:
        super().__init__(
            loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, finalize=_shown, auto_reload=False, cache_size=100,
        )  # fmt: skip
        self.filters.update(
            iso=words.iso,
            utc=words.utc,
            words=_named,
            short=words.short,
            number=words.number,
            about=words.about,
            lasting=words.lasting,
            counted=counted,
            masked=words.masked,
            ours=Ours,
            percent=words.percent,
            query=words.query,
        )


def _named(name: object) -> Markup:
    """Return a name of ours (a kind, a status, a relation, a method) as people write it: nobody's name."""
    return Markup(html.escape(words.words(name)))  # noqa: S704 - escaped


def _shown(value: object) -> object:
    return words.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
