"""Rego evaluation in a process of its own, with bounded time and memory and no environment."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from lemnis.contracts.errors import ContentError, ServiceError
from lemnis.policy import letters

WORKER = Path(__file__).with_name("worker.py")
UNDEFINED: Final = object()
"""What a query without a value gives."""
MEMORY = 1 << 30
SECONDS = 5.0
MAX_ANSWER = 64_000_000


class Engine:
    """Evaluates queries one after the other; a question that kills the process costs only itself."""

    def __init__(self, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        """``seconds`` and ``memory`` (bytes) bound one question."""
        self._seconds = seconds
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Return itself; the process is started by the first question."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def evaluate(self, modules: Sequence[str], query: str, document: Any) -> Any:
        """Return a query's value over the modules and the input ``document``, or ``UNDEFINED``.

        Raises ContentError if it cannot be evaluated: the engine says so, it takes too long or too much
        memory, or it crashes.
        """
        given = {
            "modules": [letters.module(text) for text in modules],
            "query": query,
            "input": orjson.dumps(letters.inward(document)).decode(),
        }
        question = orjson.dumps(given) + b"\n"
        answer = orjson.loads(self._ask(question))
        if "error" in answer:
            raise ContentError(f"not evaluated: {_plain(answer['error'])}")
        return letters.outward(answer["value"]) if "value" in answer else UNDEFINED

    def _ask(self, question: bytes) -> bytes:
        process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise ServiceError("the policy engine has no pipes")
        deadline = time.monotonic() + self._seconds
        answer = bytearray()
        pending = memoryview(question)
        while not answer.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready = select.select([process.stdout], [process.stdin] if pending else [], [], max(left, 0))
            if left <= 0 or not any(ready):
                self.close()
                raise ContentError(
                    f"not evaluated: not finished after {self._seconds:g} s", fix="make it look at less"
                )
            if ready[1]:
                pending = pending[self._write(process, pending) :]
            if ready[0]:
                read = process.stdout.read1(1 << 20)  # type: ignore[attr-defined]
                answer += read
                if not read or len(answer) > MAX_ANSWER:
                    self._fail(process, len(answer))
        return bytes(answer)

    def _write(self, process: subprocess.Popen[bytes], pending: memoryview) -> int:
        """Write what a pipe that is ready takes without blocking."""
        try:
            return int(process.stdin.raw.write(pending[: select.PIPE_BUF]) or 0)  # type: ignore[union-attr]
        except BrokenPipeError:
            self._fail(process, 0)
            raise

    def _fail(self, process: subprocess.Popen[bytes], size: int) -> None:
        """Say why the process gave no answer."""
        self.close()
        if size > MAX_ANSWER:
            raise ContentError(f"not evaluated: the answer is larger than {MAX_ANSWER:,} bytes")
        code = process.returncode
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ContentError(
            f"not evaluated: the engine ended with {why} (it crashed, or needed more than "
            f"{self._memory >> 20} MiB or {self._seconds:g} s)"
        )

    def _start(self) -> subprocess.Popen[bytes]:
        limit = str(max(1, round(self._seconds)))
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(WORKER), str(self._memory), limit],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, cwd="/",
        )  # fmt: skip
        return self._process


def _plain(text: str) -> str:
    """Return the words of an engine's error without its tree."""
    words = [part.split(":", 1)[1] for part in text.replace(")", "\n").split("(errormsg ")[1:] if ":" in part]
    return "; ".join(dict.fromkeys(word.splitlines()[0].strip() for word in words)) or text[:300]
