"""Expressions of GitHub Actions: who decides what a ``${{ … }}`` becomes (docs.github.com, "Contexts")."""

from __future__ import annotations

import re
from collections.abc import Iterator

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\s*\.\s*[\w*-]+|\s*\[\s*(?:'[^']*'|\d+|\*)\s*\])*")
_NAMED = re.compile(r"\[\s*'([\w-]+)'\s*\]")
_TEXT = re.compile(r"'(?:[^']|'')*'")
_OUTSIDE = re.compile(
    r"github\.head_ref$"
    r"|github\.event\.(?:issue|pull_request|discussion)\.(?:title|body)$"
    r"|github\.event\.pull_request\.head\.(?:ref|label|repo\.(?:default_branch|description|homepage|name|full_name))$"
    r"|github\.event\.(?:comment|review|review_comment)\.body$"
    r"|github\.event\.pages\..*page_name$"
    r"|github\.event\.(?:commits\..*|head_commit)\.?(?:message|author\.(?:email|name)|committer\.(?:email|name))$"
    r"|github\.event\.workflow_run\.(?:head_branch|display_title|head_commit\..*|pull_requests\..*ref|head_repository\..*)$"
    r"|github\.event\.(?:label|milestone)\.(?:name|title|description)$"
    r"|github\.event\.(?:issue|pull_request|comment|discussion)$|github\.event$"
)
_FIXED = re.compile(
    r"(?:github\.(?:sha|run_id|run_number|run_attempt|repository|repository_owner|repository_id|workspace|token|server_url"
    r"|api_url|graphql_url|action_path|job|event_name|ref_type|actor_id|workflow_sha|repositoryUrl|retention_days"
    r"|event\.(?:number|pull_request\.(?:number|id|head\.sha|base\.sha|merged|draft|merge_commit_sha)|issue\.number"
    r"|comment\.id|repository\.\w+|workflow_run\.(?:id|head_sha|run_number|conclusion)|release\.id|after|before|action))"
    r"|runner|secrets|job|strategy)(?:\.|$)"
)
_CALLS = frozenset(
    {
        "contains", "startswith", "endswith", "format", "join", "tojson", "fromjson", "hashfiles", "success",
        "always", "cancelled", "failure", "case",
    }
)  # fmt: skip
_SAFE_CALLS = re.compile(
    r"(?i)\b(?:contains|startswith|endswith|hashfiles|success|always|cancelled|failure)\s*\("
)
_NO_COMPARISON = re.compile(r"==|!=|<|>|&&|\|\||!")


def found_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield each expression of a text with who decides on its value.

    ``outside``: anybody who may open an issue or a pull request; ``caller``: who starts the workflow, an
    earlier step, a matrix; ``fixed``: nobody else.
    """
    for match in _EXPRESSION.finditer(text):
        said = match.group(1).strip()
        yield said, decided_by(said)


def decided_by(expression: str) -> str:
    """Say who decides on an expression's value (see ``found_in``)."""
    bare = _TEXT.sub("''", _NAMED.sub(r".\1", expression))
    ways = [re.sub(r"\s+", "", way) for way in _PATH.findall(bare)]
    ways = [re.sub(r"\[(?:'([^']*)'|(\d+|\*))\]", r".\1\2", way) for way in ways]
    ways = [way for way in ways if way.lower() not in _CALLS and way not in {"true", "false", "null"}]
    if _SAFE_CALLS.search(bare) and not _NO_COMPARISON.search(bare):
        return "fixed"  # true or false, or a hash
    worst = "fixed"
    for way in ways:
        if _OUTSIDE.search(way):
            return "outside"
        if not _FIXED.match(way):
            worst = "caller"
    return worst
