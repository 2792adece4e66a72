"""One comment of the gate on a pull request of GitHub, changed when the answer does, never a second one.

The pull request, its repository and the token are those of the job in GitHub Actions (``GITHUB_REPOSITORY``,
``GITHUB_REF``, ``GITHUB_TOKEN``, ``GITHUB_API_URL``), so that no secret is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from lemnis.contracts.errors import RefusedError, ServiceError, UsageError

MARK = "<!-- lemnis-gate -->"
MAX_BODY = 65_000
"""GitHub takes 65,536 characters."""
_PAGE, _PAGES = 100, 30
_TRIES = 3
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


def comment(about: PullRequest, text: str) -> str:
    """Write the comment, or change the one that is there; return its address.

    Raises RefusedError if the token may not, ServiceError if GitHub does not answer.
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
        mine = next(_mine(client, f"{path}/{about.number}/comments"), None)
        if mine is None:
            made = _ask(client, "POST", f"{path}/{about.number}/comments", json={"body": body})
        elif mine.get("body") == body:
            made = mine
        else:
            made = _ask(client, "PATCH", f"{path}/comments/{int(mine['id'])}", json={"body": body})
    return str(made.get("html_url", ""))


def _mine(client: httpx.Client, url: str) -> Iterator[dict[str, Any]]:
    """Yield the comments that a gate wrote, by a bot or whoever the token is."""
    for page in range(1, _PAGES + 1):
        found = _ask(client, "GET", url, params={"per_page": _PAGE, "page": page})
        for one in found:
            if isinstance(one, dict) and str(one.get("body", "")).startswith(MARK):
                yield one
        if len(found) < _PAGE:
            return


def _ask(client: httpx.Client, method: str, url: str, **given: Any) -> Any:
    """Ask GitHub; what it may not have had is asked again, a comment is written at most once."""
    tries = _TRIES if method != "POST" else 1
    for left in reversed(range(tries)):
        try:
            answer = client.request(method, url, **given)
        except httpx.HTTPError as error:
            if left:
                continue
            raise ServiceError(f"GitHub does not answer: {error}", fix="run the job again") from error
        if answer.status_code < 300:  # noqa: PLR2004 - it is done
            return _json(answer)
        if answer.status_code in {401, 403, 404}:
            raise RefusedError(
                f"GitHub refuses to {method} a comment: {answer.status_code}",
                fix="the job needs `permissions: {pull-requests: write}`",
            )
        if answer.status_code < 500 or not left:  # noqa: PLR2004 - its own fault
            raise ServiceError(f"GitHub answers {answer.status_code}", fix="run the job again")
    raise ServiceError("GitHub does not answer")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise ServiceError("GitHub answers with something else than JSON") from error
