"""One comment of the gate on a pull request of GitHub, changed when the answer does, never a second one.

The pull request, its repository and the token are those of the job in GitHub Actions (``GITHUB_REPOSITORY``,
``GITHUB_REF``, ``GITHUB_TOKEN``, ``GITHUB_API_URL``), so that no secret is an argument.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from lemnis.contracts.errors import RefusedError, ServiceError, UsageError

MARK = "<!-- lemnis-gate -->"
MAX_BODY = 65_000
"""GitHub takes 65,536 characters."""
_PAGE, _PAGES = 100, 30
_TRIES = 3
_LONGEST_S = 120.0
"""A limit that lasts longer is an error: the job would stand still."""
_PULL = re.compile(r"refs/pull/(\d+)/")
_REPOSITORY = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}")


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request and how to reach it."""

    api: str
    repository: str
    number: int
    token: str


def pull_request(environment: Mapping[str, str]) -> PullRequest:
    """Return the pull request that a job of GitHub Actions is about; raises UsageError if there is none."""
    match = _PULL.match(environment.get("GITHUB_REF", ""))
    repository = environment.get("GITHUB_REPOSITORY", "")
    token = environment.get("GITHUB_TOKEN", "") or environment.get("GH_TOKEN", "")
    api = environment.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    if match is None or not _REPOSITORY.fullmatch(repository):
        raise UsageError("this is no job for a pull request", fix="--comment belongs to `on: pull_request`")
    if not token:
        raise UsageError("no token", fix="env: {GITHUB_TOKEN: ${{ github.token }}} and pull-requests: write")
    if not api.startswith(("https://", "http://127.0.0.1:")):
        raise UsageError(f"GITHUB_API_URL {api!r} is not https", fix="a token is sent there")
    return PullRequest(api, repository, int(match[1]), token)


def comment(about: PullRequest, text: str, *, sleep: Callable[[float], object] = time.sleep) -> str:
    """Write the comment, or change the one that is there; return its address. ``sleep`` waits for limits (s).

    Raises RefusedError if the token may not, ServiceError if GitHub does not answer or its limit lasts long.
    """
    body = f"{MARK}\n{text}"
    if len(body) > MAX_BODY:
        body = body[:MAX_BODY].rpartition("\n")[0] + "\n\n(more than fits here)\n"
    headers = {
        "Authorization": f"Bearer {about.token}", "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }  # fmt: skip
    path = f"{about.api}/repos/{about.repository}/issues"
    with httpx.Client(headers=headers, timeout=20, follow_redirects=False, trust_env=False) as client:

        def ask(method: str, url: str, **given: Any) -> Any:
            return _ask(client, sleep, method, url, **given)

        mine = next(_mine(ask, f"{path}/{about.number}/comments"), None)
        if mine is None:
            made = ask("POST", f"{path}/{about.number}/comments", json={"body": body})
        elif mine.get("body") == body:
            made = mine
        else:
            made = ask("PATCH", f"{path}/comments/{int(mine['id'])}", json={"body": body})
    return str(made.get("html_url", "")) if isinstance(made, dict) else ""


def _mine(ask: Callable[..., Any], url: str) -> Iterator[dict[str, Any]]:
    """Yield the comments that a gate wrote, by a bot or whoever the token is; raises ServiceError."""
    for page in range(1, _PAGES + 1):
        found = ask("GET", url, params={"per_page": _PAGE, "page": page})
        if not isinstance(found, list):
            raise ServiceError("GitHub answers with something else than a list of comments")
        for one in found:
            if isinstance(one, dict) and str(one.get("body", "")).startswith(MARK):
                yield one
        if len(found) < _PAGE:
            return


def _ask(client: httpx.Client, sleep: Callable[[float], object], method: str, url: str, **given: Any) -> Any:
    """Ask GitHub; what it may not have had is asked again, a comment is written at most once.

    What a limit declined was surely not done: that is asked again in any case, after the time it names.
    """
    tries, limits = _TRIES if method != "POST" else 1, _TRIES
    while True:
        tries -= 1
        try:
            answer = client.request(method, url, **given)
        except httpx.HTTPError as error:
            if tries > 0:
                continue
            raise ServiceError(f"GitHub does not answer: {error}", fix="run the job again") from error
        if answer.status_code < 300:  # noqa: PLR2004 - it is done
            return _json(answer)
        wait = _limit(answer)
        if wait is not None:
            limits, tries = limits - 1, tries + 1
            if not limits or wait > _LONGEST_S:
                raise ServiceError(f"GitHub's limit lasts {wait:.0f} s", fix="run the job again later")
            sleep(wait)
            continue
        if answer.status_code in {401, 403, 404}:
            raise RefusedError(
                f"GitHub refuses to {method} a comment: {answer.status_code}",
                fix="the job needs `permissions: {pull-requests: write}`",
            )
        if answer.status_code < 500 or tries <= 0:  # noqa: PLR2004 - its own fault
            raise ServiceError(f"GitHub answers {answer.status_code}", fix="run the job again")


def _limit(answer: httpx.Response) -> float | None:
    """Return in how many seconds to ask again what a limit declined; None for any other answer."""
    if answer.status_code not in {403, 429}:
        return None
    given = answer.headers.get("retry-after", "")
    if given.isascii() and given.isdigit():
        return float(given)
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(float(reset[:12]) - time.time(), 1.0) if reset.isdigit() else 60.0
    limited = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or "rate limit" in answer.text
    return 60.0 if limited else None


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise ServiceError("GitHub answers with something else than JSON") from error
