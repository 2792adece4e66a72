"""A simulated host's agent and mail server, asked over HTTP; see ``lemnis.testing.rest``.

What an action asks is the same whatever carries it, so a connection's address may lead to these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from lemnis.testing.rest import Call, Row, Vendor, reply
from lemnis.testing.server import Reply

_GONE = 404


class Agent(Vendor):
    """What ``lemnis.respond.host_agent`` answers."""

    rows = (
        Row("GET", "/blocks/{address}", "get", "block", "{address}"),
        Row("PUT", "/blocks/{address}", "block", "block", "{address}", 201),
        Row("DELETE", "/blocks/{address}", "delete", "block", "{address}"),
        Row("GET", "/processes/{pid}", "get", "process", "{pid}"),
        Row("GET", "/processes/{pid}/{start}", "of_start", "process", "{pid}"),
        Row("DELETE", "/processes/{pid}/{start}", "end", "process", "{pid}", 202),
        Row("GET", "/files", "file", "file"),
        Row("GET", "/content", "content", "file"),
    )

    def failure(self, status: int, text: str) -> Reply:
        """Return an error."""
        return reply(status, {"error": text})

    def block(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Block an address, once."""
        key, one = self.found(row, call)
        if one is not None:
            return self.failure(409, f"{key} is blocked already")
        return self.put(row, call, {"address": key, "mark": body.get("mark", "")})

    def of_start(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Show a process, if it is the one with this start."""
        key, one = self.found(row, call)
        if one is not None and str(one["start"]) != call.names["start"]:
            return self.failure(404, f"process {key} is another one by now")
        return self.get(row, call, body)

    def end(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """End a process, if it is the one with this start."""
        shown = self.of_start(row, call, body)
        return shown if shown.status == _GONE else self.delete(row, call, body)

    def file(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Describe a file."""
        del body
        path = unquote(call.query.get("path", ""))
        one = self._objects.get(row.kind, {}).get(path)
        if one is None:
            return self.failure(404, f"there is no {path}")
        return reply(200, {"path": path, "size": len(one["text"]), "sha256": one["sha256"]})

    def content(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Hand a file over."""
        shown = self.file(row, call, body)
        one = self._objects.get(row.kind, {}).get(unquote(call.query.get("path", "")), {})
        text = str(one.get("text", ""))
        return shown if shown.status == _GONE else Reply(200, text.encode(), "application/octet-stream")


class Post(Vendor):
    """What ``lemnis.respond.kinds_mail`` answers: a server that takes every message."""

    rows = (Row("POST", "/messages", "take_over", "message", needs=("from", "to", "subject")),)

    def take_over(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Take a message over."""
        del call
        self._objects.setdefault(row.kind, {})[str(self.number())] = dict(body)
        self.changed(f"mail {', '.join(body['to'])}")
        return Reply(202, b"taken over", "text/plain")
