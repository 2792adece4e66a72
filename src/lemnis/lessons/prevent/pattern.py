"""A way of writing code: refused by what a scanner says of it, or by a new rule for the traced line."""

from __future__ import annotations

import ast
import posixpath
import re

import yaml

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Kind
from lemnis.lessons.gate import Scope, scopes
from lemnis.lessons.prevent.base import Drawn, Traced, cwes_of, rules_of, widths

NAME = "code pattern"
_TOOL = "opengrep"
_CONTROLS = ("NIST.SSDF.PW.7", "NIST.SSDF.RV.3")
_LANGUAGES = {
    ".py": "python", ".js": "javascript", ".mjs": "javascript", ".ts": "typescript", ".go": "go",
    ".java": "java", ".kt": "kotlin", ".rb": "ruby", ".php": "php", ".cs": "csharp", ".scala": "scala",
}  # fmt: skip
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+)\s*\(")

STAGES = ("editor", "commit", "pull_request", "build")
"""Where a line of code is seen, the earliest first."""


def recognise(traced: Traced, name: str) -> Drawn | str:
    """Draw a gate over what scanners say of the line; if none does, over a rule for the call in it."""
    found = [one for one in traced.findings if one.kind is Kind.CODE]
    if found:
        cwes = cwes_of(found)
        return Drawn(
            kind=NAME,
            says=", ".join(f"CWE-{cwe}" for cwe in cwes) or ", ".join(rules_of(found)),
            earliest="editor",
            because=f"the line is there ({traced.path}:{traced.line}), and a scanner finds it",
            stages=STAGES,
            fix="see the lesson",
            controls=_CONTROLS,
            scopes=tuple(scopes(found)) if cwes else widths(rules_of(found), found),
            example=found[0],
        )
    language = _LANGUAGES.get(posixpath.splitext(traced.path)[1])
    if language is None:
        return f"no scanner finds the line, and rules know no language of {traced.path or 'what was traced'}"
    pattern = call_pattern(traced.text, language)
    if not pattern:
        return f"no scanner finds {traced.path}:{traced.line}, and it calls nothing by a name for a rule"
    return Drawn(
        kind=NAME,
        says=f"`{pattern}` in a change",
        earliest="editor",
        because=f"the line is there ({traced.path}:{traced.line}); no scanner found it, the new rule does",
        stages=STAGES,
        fix="write it another way",
        controls=_CONTROLS,
        scopes=(Scope("new rule", rules=(f"{_TOOL}:{name}",), judged=True),),
        example=Finding(
            f"fp-{name}", _TOOL, name, f"{pattern} led to an incident", Severity.HIGH, traced.path,
            traced.line, traced.line,
        ),
        files={f"content/scanners/{_TOOL}/rules/{name}.yaml": _rule(name, pattern, language)},
        review=(
            f"The rule `{pattern}` needs {_TOOL} where gates run, and its scanner.yaml beside.",
            "It is drawn from one line: is every such call wrong, or only with what comes from outside?",
        ),
    )  # fmt: skip


def call_pattern(text: str, language: str) -> str:
    """Return the outermost call of a line as a pattern: its name, the arguments written out as constants.

    Empty where nothing is called by a dotted name. What varies is ``...`` (Semgrep's pattern syntax).
    """
    if language == "python":
        for source in (text.strip(), text.strip() + "\n    pass"):
            try:
                tree = ast.parse(source)
            except (SyntaxError, ValueError):
                continue
            return next(filter(None, map(_python, ast.walk(tree))), "")
    found = _CALL.search(text)
    return f"{found[1]}(...)" if found else ""


def _python(node: ast.AST) -> str:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    function = ast.unparse(node.func)
    if not re.fullmatch(r"\w+(\.\w+)+", function):
        return ""
    fixed = [
        f"{one.arg}={ast.unparse(one.value)}"
        for one in node.keywords
        if one.arg and isinstance(one.value, ast.Constant) and not isinstance(one.value.value, str | bytes)
    ]
    return f"{function}({', '.join(['...', *(f'{one}, ...' for one in fixed)])})"


def _rule(name: str, pattern: str, language: str) -> bytes:
    rule = {
        "id": name,
        "languages": [language],
        "severity": "ERROR",
        "message": f"{pattern} led to an incident",
        "pattern": pattern,
    }
    return yaml.safe_dump({"rules": [rule]}, sort_keys=False, allow_unicode=True).encode()
