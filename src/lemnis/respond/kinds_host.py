"""A host as a target of actions: its agent is started for each request, asked and answering as HTTP would be.

What is asked goes to the agent's standard input as one JSON object, ``{"method", "path", "query", "body"}``,
its answer comes from standard output, ``{"status", "content_type", "body"}`` (``base64`` for bytes). The
command is the connection's (``ssh {host} …``), never a shell's line; the agent does a few things only.
"""

from __future__ import annotations

import base64
import os
import re
import selectors
import subprocess
import tempfile
import time
from collections.abc import Sequence

import orjson

from lemnis.contracts.errors import InputError, Location
from lemnis.respond.answers import Answer
from lemnis.respond.client import MAX_ANSWER as MAX_OUTPUT
from lemnis.respond.client import CallError
from lemnis.respond.template import Rendered

HOST = "Lemnis-Host"
"""The header of a request that names the host; it stands where the command has ``{host}``."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")
_SHOWN, _CHUNK = 200, 65_536


class Host:
    """Implements ``Caller`` through a program."""

    def __init__(self, url: str, command: Sequence[str], *, timeout: float = 10) -> None:
        """``url`` is ``host://NAME``; ``command`` starts the agent there."""
        self._url, self._command, self._timeout = url, list(command), timeout

    @property
    def url(self) -> str:
        """The host, for people and for the plan."""
        return self._url

    def close(self) -> None:
        """Do nothing: the agent ends with each answer."""

    def send(self, request: Rendered, *, timeout: float, service: str = "") -> Answer:
        """Return the agent's answer; raises CallError if none came."""
        del service
        asked = {
            "method": request.method, "path": request.path, "query": request.query,
            "body": request.body.decode(),
        }  # fmt: skip
        name = request.headers.get(HOST, "")
        if not _NAME.fullmatch(name) and any("{host}" in part for part in self._command):
            raise InputError(f"{name!r} is no name of a host")  # an option of the command, say
        command = [part.replace("{host}", name) for part in self._command]
        limit = min(timeout, self._timeout)
        code, out, said = self._run(command, orjson.dumps(asked), limit, request.line)
        if code != 0:
            shown = " ".join(said.decode("utf-8", "replace").split())[-_SHOWN:]
            raise CallError(f"the agent ended with {code}: {shown}", at=self._at)
        return self._read(out)

    def _run(self, command: Sequence[str], given: bytes, limit: float, line: str) -> tuple[int, bytes, bytes]:
        """Run a command; return its exit code and what it wrote: bounded, and in time or not at all."""
        end = time.monotonic() + limit
        with tempfile.TemporaryFile() as asked:
            asked.write(given)
            asked.seek(0)
            try:
                process = subprocess.Popen(
                    command, stdin=asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
            except OSError as error:
                raise CallError(f"{command[0]}: {error.strerror}", unsent=True, at=self._at) from error
        try:
            out, said = self._wrote(process, end)
            return process.wait(max(0.0, end - time.monotonic())), out, said
        except subprocess.TimeoutExpired as error:
            raise CallError(f"{line}: no answer after {limit:g} s", at=self._at) from error
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def _wrote(self, process: subprocess.Popen[bytes], end: float) -> tuple[bytes, bytes]:
        """Read what a process writes until it ends; raises CallError for too much, TimeoutExpired."""
        kept = {pipe.fileno(): bytearray() for pipe in (process.stdout, process.stderr) if pipe is not None}
        first, second = kept.values()
        with selectors.DefaultSelector() as waiting:
            for number in kept:
                waiting.register(number, selectors.EVENT_READ)
            while waiting.get_map():
                left = end - time.monotonic()
                if left <= 0:
                    raise subprocess.TimeoutExpired(process.args, left)
                for key, _ in waiting.select(left):
                    chunk = os.read(key.fd, _CHUNK)
                    kept[key.fd] += chunk
                    if len(kept[key.fd]) > MAX_OUTPUT:
                        raise CallError(f"the answer is larger than {MAX_OUTPUT:,} bytes", at=self._at)
                    if not chunk:
                        waiting.unregister(key.fd)
        return bytes(first), bytes(second)

    @property
    def _at(self) -> Location:
        return Location(self._url)

    def _read(self, output: bytes) -> Answer:
        try:
            said = orjson.loads(output)
            raw = "base64" in said
            body = base64.b64decode(said["base64"]) if raw else str(said["body"]).encode()
            return Answer(int(said["status"]), str(said["content_type"]), body)
        except (ValueError, KeyError, TypeError) as error:
            raise CallError("the agent answered with no JSON, or a part is missing", at=self._at) from error
