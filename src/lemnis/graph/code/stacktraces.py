"""Stack traces in what services log: Python, Node, Java, Go; and which frame is of one's own code.

Lines are read one by one, by what they begin with. A frame is brought to a file of a repository by the end
of its path, because images put code elsewhere (``/app``, ``/usr/src/app``); what is of the language, of a
package or minified is nobody's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lemnis.graph.code.routes import foreign

LONGEST, DEEPEST = 2_000, 200
"""A longer line is no frame; so many frames of a trace are kept, the innermost."""
_FOREIGN_BEGIN = (
    "node:", "internal/", "<", "webpack/", "/usr/lib/", "/usr/local/lib/", "/usr/local/go/", "/go/pkg/",
    "/opt/java/", "/nix/store/",
)  # fmt: skip
_JAVA = (
    "java.", "javax.", "jdk.", "sun.", "com.sun.", "jakarta.", "kotlin.", "scala.", "org.springframework.",
    "org.apache.", "org.eclipse.", "io.netty.", "io.undertow.", "reactor.", "org.hibernate.",
)  # fmt: skip
_ROOTS = (
    "app", "src", "code", "srv", "workspace", "build", "usr/src/app", "usr/src", "var/task", "var/www",
    "var/www/html", "usr/share/app", "go/src/app", "home/app", "home/node/app", "opt/app",
)  # fmt: skip
_HOMES = tuple(f"/{root}/" for root in _ROOTS)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it is told: file (or the end of its path), function, line."""

    file: str
    function: str
    line: int


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack trace: its language, what was raised, its frames, the innermost first."""

    language: str
    error: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Own:
    """A frame of one's own code: the repository's files that it may be in, the likeliest first.

    ``sure`` says that it is one file, and its path under a root that images have.
    """

    frame: Frame
    paths: tuple[str, ...]
    sure: bool


def stacks(text: str) -> list[Stack]:
    """Return the stack traces in a text, in its order."""
    if "\n" not in text and "\\n" in text:
        text = text.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
    reader = _Reader()
    for line in text.splitlines():
        if len(line) <= LONGEST:
            reader.take(line)
    reader.end()
    return reader.found


@dataclass(slots=True)
class _Reader:
    """Takes line after line; what is no frame ends a trace."""

    found: list[Stack] = field(default_factory=list)
    language: str = ""
    error: str = ""
    frames: list[Frame] = field(default_factory=list)
    before: str = ""
    called: str = ""
    kind: str = ""

    def take(self, line: str) -> None:
        """Take one line."""
        bare = line.strip()
        mark = bare.find("Traceback (most recent call last)")
        if mark >= 0:
            self.end()
            self.language = "python"
        elif bare.startswith("goroutine ") and bare.endswith("]:"):
            self.end()
            self.language, self.error = "go", self.before
        elif self.language == "python":
            self._python(line, bare)
        elif self.language == "go":
            self._go(bare)
        else:
            self._at(bare)
        if bare:
            self.before = bare

    def end(self) -> None:
        """End the trace that is being read."""
        if self.frames:
            # Python tells the innermost last.
            frames = self.frames[::-1] if self.language == "python" else self.frames
            self.found.append(
                Stack(self.language or self.kind, self.error[:LONGEST], tuple(frames[:DEEPEST]))
            )
        self.language, self.error, self.called, self.frames = "", "", "", []

    def _python(self, line: str, bare: str) -> None:
        if bare.startswith('File "'):
            file, _, rest = bare[len('File "') :].partition('"')
            number, _, function = rest.removeprefix(", line ").partition(", in ")
            if number.isascii() and number.isdigit():
                self.frames.append(Frame(file, function.strip(), int(number)))
        elif bare and not line.startswith((" ", "\t")):
            self.error = bare
            self.end()

    def _go(self, bare: str) -> None:
        place, _, offset = bare.partition(" +0x")
        file, _, number = place.rpartition(":")
        if file.endswith(".go") and number.isascii() and number.isdigit():
            if self.called:
                self.frames.append(Frame(file, self.called, int(number)))
            self.called = ""
        elif bare.endswith(")") and "(" in bare:
            self.called = bare[: bare.rfind("(")]
        elif bare.startswith("created by "):
            self.called = bare.removeprefix("created by ").partition(" in goroutine")[0]
        elif self.frames or offset:
            self.end()

    def _at(self, bare: str) -> None:
        """Read a frame of Node's or Java's."""
        if not bare.startswith("at "):
            # What caused it is another trace, nearer to the line.
            if bare.startswith("Caused by: ") or (self.frames and not bare.startswith("... ")):
                self.end()
            return
        frame, language = _java(bare[3:]), "java"
        if frame is None:
            frame, language = _node(bare[3:]), "node"
        if frame is None:
            return
        if not self.frames:
            self.error = self.before
        self.frames.append(frame)
        self.kind = language


def _java(text: str) -> Frame | None:
    """Read ``com.shop.Labels.preview(Labels.java:14)``; which jar it is of may stand behind."""
    name, opened, place = text.partition("(")
    file, _, number = place.partition(")")[0].rpartition(":")
    if not opened or not file.endswith((".java", ".kt", ".scala", ".groovy")) or not _number(number):
        return None
    name = name.rpartition("/")[2]  # a module's or a class loader's name may stand before
    owner, _, function = name.rpartition(".")
    package = owner.rpartition(".")[0]
    return Frame(f"{package.replace('.', '/')}/{file}".lstrip("/"), f"{owner}.{function}", int(number))


def _node(text: str) -> Frame | None:
    """Read ``preview (/app/labels.js:3:9)`` and ``/app/labels.js:3:9``."""
    name, opened, place = text.rpartition("(")
    place = place.rstrip(")") if opened else text.removeprefix("async ")
    rest, _, column = place.rpartition(":")
    file, _, number = rest.rpartition(":")
    if not _number(column) or not _number(number) or not file:
        return None
    name = name.strip().removeprefix("async ").removeprefix("new ").partition(" [as ")[0]
    return Frame(file.removeprefix("file://"), name, int(number))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004 - no file has so many lines


class Files:
    """The files of a repository by their names, to find the one that a frame is in."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._named: Mapping[str, list[str]] = defaultdict(list)
        for path in sorted(paths):
            if not foreign(path):
                self._named[path.rpartition("/")[2]].append(path)

    def own(self, frame: Frame) -> Own | None:
        """Return the repository's files that a frame may be in; None for one of nobody's own."""
        file = frame.file.replace("\\", "/")
        if _foreign(file, frame.function):
            return None
        parts = [part for part in file.split("/") if part not in {"", ".", ".."}]
        best: list[str] = []
        most = 0
        for path in self._named.get(parts[-1], ()) if parts else ():
            same = _same(parts, path.split("/"))
            if same > most and _may_be(parts[: len(parts) - same], path.split("/"), same):
                best, most = [path], same
            elif same == most and best and _may_be(parts[: len(parts) - same], path.split("/"), same):
                best.append(path)
        if not best:
            return None
        root = "/".join(parts[: len(parts) - most])
        return Own(frame, tuple(best), len(best) == 1 and (not root or _is_root(root)))

    def first(self, stack: Stack) -> Own | None:
        """Return the innermost frame of one's own code."""
        return next(self.all(stack), None)

    def lost(self, stack: Stack) -> str:
        """Return the file of a frame within the first of one's own that should be here and is not."""
        for frame in stack.frames:
            if self.own(frame) is not None:
                break
            if not _foreign(frame.file, frame.function) and frame.file.startswith(_HOMES):
                return frame.file
        return ""

    def all(self, stack: Stack) -> Iterator[Own]:
        """Yield the frames of one's own code, the innermost first."""
        for frame in stack.frames:
            if (found := self.own(frame)) is not None:
                yield found


def _foreign(file: str, function: str) -> bool:
    return (
        file.startswith(_FOREIGN_BEGIN)
        or foreign(file)
        or file.endswith((".min.js", ".pyc"))
        or any(folder in file for folder in ("/dist-packages/", "/go/pkg/mod/"))
        or (file.endswith((".java", ".kt")) and function.startswith(_JAVA))
    )


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts two paths have in common at their ends."""
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count


def _may_be(root: Sequence[str], path: Sequence[str], same: int) -> bool:
    """Say whether a frame's path may be a file's: the rest is a root of images, or the file matched whole.

    A bare name that is alike in an unknown folder proves nothing.
    """
    return not root or _is_root("/".join(root)) or (same == len(path) and same > 1)


def _is_root(root: str) -> bool:
    """Say whether images put code there: ``/app``, ``/opt/NAME``, ``/home/NAME`` and the like."""
    parts = root.split("/")
    return root in _ROOTS or (len(parts) <= 3 and parts[0] in {"opt", "home", "srv", "app", "workspace"})  # noqa: PLR2004 - NAME and what is in it
