"""What the generated client stands on: asking, errors, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

BASE = "/api/v1"


class ApiError(Exception):
    """What the API refused or could not do: status and kind, what is wrong, what to do."""

    def __init__(self, status: int, kind: str, title: str, fix: str = "", retry_after_s: float = 0) -> None:
        """Take what a problem document says; ``retry_after_s``: when it may do, 0 if that is not said."""
        super().__init__(f"{title} ({fix})" if fix else title)
        self.status, self.kind, self.title, self.fix = status, kind, title, fix
        self.retry_after_s = retry_after_s


class Caller:
    """A connection to a console with a token, or through a client of one's own."""

    def __init__(
        self, url: str = "", token: str = "", *, client: httpx.Client | None = None, timeout_s: float = 70
    ) -> None:
        """``url`` is the console's, without ``/api/v1``."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._client = client or httpx.Client(base_url=url, timeout=timeout_s, headers=headers)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        """Ask, and return what was answered; raises ApiError, and httpx.HTTPError where nothing was."""
        answer = self._client.request(
            method, f"{BASE}{path}", json=body,
            params={name: one for name, one in (query or {}).items() if one is not None},
            headers={name: one for name, one in (headers or {}).items() if one},
        )  # fmt: skip
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _error(answer)

    def every(self, list_: Callable[..., Any], **asked: Any) -> Iterator[Any]:
        """Yield the items of all pages: ``client.every(client.list_incidents, severity="high")``."""
        after = None
        while True:
            page = list_(**asked, after=after)
            yield from page["items"]
            after = page.get("next")
            if not after:
                return

    @staticmethod
    def part(value: str) -> str:
        """Return a value as a part of a path."""
        return quote(str(value), safe="")


def _error(answer: httpx.Response) -> ApiError:
    try:
        said = answer.json()
    except ValueError:
        said = {}
    told = said if isinstance(said, dict) else {}
    wait = answer.headers.get("retry-after", "")
    title, fix = str(told.get("title", answer.reason_phrase)), str(told.get("fix", ""))
    kind = str(told.get("type", "")).rpartition(":")[2]
    return ApiError(answer.status_code, kind, title, fix, float(wait) if wait.isdecimal() else 0)
