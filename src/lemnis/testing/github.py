"""A recorded GitHub: answers of its REST API by path, in pages, to whoever has the token; limits on request.

``answers`` maps a path without its query to (status, document). A list, or the list that is a member of a
document with ``total_count``, is cut into pages with a ``Link`` header, as the real one does.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode

import orjson

from lemnis.testing.rest import TOKEN
from lemnis.testing.server import Asked, Reply, Simulator

_NOT_FOUND: Final = (404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"})
_EMPTY = 204
Answers = Mapping[str, tuple[int, Any]]


class RecordedGithub(Simulator):
    """Serves recorded answers. ``moved`` maps a path's beginning to where a redirect leads.

    ``limited`` is a list of replies that are given first, one a request.
    """

    def __init__(self, answers: Answers, *, token: str = TOKEN, largest_page: int = 100) -> None:
        """``largest_page`` is how many entries a page has at most, whatever is asked for."""
        super().__init__()
        self.answers = dict(answers)
        self.token, self.largest_page = token, largest_page
        self.moved: dict[str, str] = {}
        self.limited: list[Reply] = []

    def answer(self, asked: Asked) -> Reply:
        """Answer one request."""
        if asked.method != "GET":
            return _reply(405, {"message": "only GET is recorded"})
        if self.limited:
            return self.limited.pop(0)
        given = asked.headers.get("authorization", "")
        if given and not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return _reply(401, {"message": "Bad credentials"})
        path = unquote(asked.path)
        for head, target in self.moved.items():
            if path.startswith(head):
                return Reply(301, b"{}", headers={"Location": target + path.removeprefix(head)})
        status, document = self.answers.get(path, _NOT_FOUND)
        return Reply(_EMPTY) if status == _EMPTY else self._paged(asked, status, document)

    def _paged(self, asked: Asked, status: int, document: Any) -> Reply:
        query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        size = min(int(query.get("per_page", 30)), self.largest_page)
        page = int(query.get("page", 1))
        part, more = _cut(document, (page - 1) * size, size)
        headers = {}
        if more:
            following = urlencode({**query, "page": page + 1})
            headers["Link"] = f'<{self.url}{asked.path}?{following}>; rel="next"'
        return Reply(status, orjson.dumps(part), headers=headers)


def _cut(document: Any, start: int, size: int) -> tuple[Any, bool]:
    """Return a page of a document, and whether there are more."""
    if isinstance(document, list):
        return document[start : start + size], len(document) > start + size
    if isinstance(document, dict) and "total_count" in document:
        parts = {name: _cut(item, start, size) for name, item in document.items() if isinstance(item, list)}
        whole = {**document, **{name: part for name, (part, _) in parts.items()}}
        return whole, any(more for _, more in parts.values())
    return document, False


def _reply(status: int, document: Any) -> Reply:
    return Reply(status, orjson.dumps(document))
