"""A host as a target of actions: its agent is started for each request, asked and answering as HTTP would be.

What is asked goes to the agent's standard input as one JSON object, ``{"method", "path", "query", "body"}``,
its answer comes from standard output, ``{"status", "content_type", "body"}`` (``base64`` for bytes). The
command is the connection's (``ssh {host} …``), never a shell's line; the agent does a few things only.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Sequence

import orjson

from lemnis.contracts.errors import Location
from lemnis.respond.answers import Answer
from lemnis.respond.client import MAX_ANSWER, CallError
from lemnis.respond.template import Rendered

HOST = "Lemnis-Host"
"""The header of a request that names the host; it stands where the command has ``{host}``."""
_SHOWN = 200


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
        command = [part.replace("{host}", request.headers.get(HOST, "")) for part in self._command]
        try:
            done = subprocess.run(
                command, input=orjson.dumps(asked), capture_output=True, check=False,
                timeout=min(timeout, self._timeout),
            )  # fmt: skip
        except OSError as error:
            raise CallError(f"{self._command[0]}: {error.strerror}", unsent=True, at=self._at) from error
        except subprocess.TimeoutExpired as error:
            raise CallError(f"{request.line}: no answer after {error.timeout:g} s", at=self._at) from error
        if done.returncode != 0:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[-_SHOWN:]
            raise CallError(f"the agent ended with {done.returncode}: {said}", at=self._at)
        return self._read(done.stdout)

    @property
    def _at(self) -> Location:
        return Location(self._url)

    def _read(self, output: bytes) -> Answer:
        if len(output) > MAX_ANSWER:
            raise CallError(f"the answer is larger than {MAX_ANSWER:,} bytes", at=self._at)
        try:
            said = orjson.loads(output)
            raw = "base64" in said
            body = base64.b64decode(said["base64"]) if raw else str(said["body"]).encode()
            return Answer(int(said["status"]), str(said["content_type"]), body)
        except (ValueError, KeyError, TypeError) as error:
            raise CallError("the agent answered with no JSON, or a part is missing", at=self._at) from error
