"""XML of others as plain elements: no entities, no documents within, bounded in depth and number. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from lemnis.contracts.errors import Location, RecordError

_DEEPEST: Final = 200
_MOST: Final = 5_000_000


@dataclass(slots=True)
class Element:
    """An element: its name without namespace, attributes, children, the text within, and its line."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""
    line: int = 0

    def first(self, name: str) -> Element:
        """Return the first child of a name; an empty element if there is none."""
        return next((child for child in self.children if child.name == name), Element(name))

    def all(self, name: str) -> Iterator[Element]:
        """Yield the children of a name."""
        return (child for child in self.children if child.name == name)

    def said(self, name: str) -> str:
        """Return the text of the first child of a name."""
        return self.first(name).text


def parse(data: bytes, file: str = "") -> Element:
    """Read a document and return its root; raises RecordError with line and column."""
    root = Element("")
    stack, texts, count = [root], [[""]], 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) > _DEEPEST or count > _MOST:
            raise RecordError(
                "elements too deep" if count <= _MOST else f"more than {_MOST:,} elements",
                at=Location(file, parser.CurrentLineNumber),
            )
        line = parser.CurrentLineNumber
        made = Element(name.rpartition(":")[2], attributes, line=line)
        stack[-1].children.append(made)
        stack.append(made)
        texts.append([])

    def end(_name: str) -> None:
        stack.pop().text = "".join(texts.pop()).strip()

    def text(words: str) -> None:
        texts[-1].append(words)

    def refuse(*_words: Any) -> None:
        raise RecordError("declares entities, which are not read", at=Location(file))

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        words = expat.errors.messages[error.code]
        raise RecordError(f"no XML: {words}", at=Location(file, error.lineno, error.offset + 1)) from error
    return root.children[0]
