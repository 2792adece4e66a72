"""The coverage of ATT&CK for people: a table a tactic on the terminal, and a page that stands alone."""

from __future__ import annotations

from html import escape

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lemnis.app.coverage import COLOURS, STATES, Coverage, Technique
from lemnis.interfaces.cli.output import counted, in_line

_STYLES = {"written": "yellow", "tested": "bright_yellow", "fed": "cyan", "proven": "green"}
_ALLOWED = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; }
p { margin: .2rem 0 .8rem; }
.matrix { display: flex; gap: 6px; overflow-x: auto; align-items: flex-start; }
.tactic { min-width: 9.5rem; max-width: 12rem; flex: 1 0 auto; }
.tactic h2 { font-size: .85rem; margin: 0 0 6px; }
.tactic h2 small { font-weight: normal; display: block; }
details { border-radius: 3px; margin: 0 0 4px; padding: 3px 6px; color: #111; overflow-wrap: anywhere; }
summary { cursor: pointer; }
ul { margin: 4px 0; padding-left: 1.1rem; }
.key span { border-radius: 3px; padding: 1px 8px; margin-right: 6px; color: #111; }
"""


def coverage_tables(found: Coverage) -> RenderableType:
    """Return the matrix: a table by tactic, and what the steps mean."""
    table = Table(title="ATT&CK coverage", title_justify="left", header_style="bold")
    for name in ("tactic", "technique", "state", "rules"):
        table.add_column(name, overflow="fold")
    for tactic in found.tactics:
        mine = found.under(tactic)
        of = f" of {found.total[tactic]}" if tactic in found.total else ""
        head = Text(f"{in_line(tactic)}\n", "bold").append(f"{len(mine)}{of}", "dim")
        for number, one in enumerate(mine):
            table.add_row(head if number == 0 else "", _name(one), _steps(one), _rules(one))
        if not mine:
            table.add_row(head, "", Text("nothing", "dim"), "")
        table.add_section()
    return Group(table, _key(), _summary(found))


def coverage_page(found: Coverage, *, title: str, at: str) -> str:
    """Return the matrix as one HTML page without anything from elsewhere, and without scripts."""
    styles = "".join(f".{state} {{ background: {colour}; }}\n" for state, colour in COLOURS.items())
    key = "".join(f'<span class="{state}">{state}</span>' for state in STATES)
    columns = "\n".join(_column(found, tactic) for tactic in found.tactics)
    counts = ", ".join(f"{number} {state}" for state, number in _counts(found).items())
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{styles}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(at)}: {counted(len(found.techniques), 'technique')} "
        f'({escape(counts)})</p>\n<p class="key">{key}</p>\n'
        f'<main class="matrix">\n{columns}\n</main>\n</body>\n</html>\n'
    )


def _column(found: Coverage, tactic: str) -> str:
    mine = found.under(tactic)
    of = f" of {found.total[tactic]}" if tactic in found.total else ""
    cells = "\n".join(_cell(one) for one in mine)
    head = escape(tactic.replace("-", " "))
    return f'<section class="tactic"><h2>{head}<small>{len(mine)}{of}</small></h2>\n{cells}\n</section>'


def _cell(one: Technique) -> str:
    rules = "".join(
        f"<li>{escape(rule.title)} ({escape(', '.join(s for s in STATES if s in rule.holds))})</li>"
        for rule in one.rules
    )
    gone = " (withdrawn)" if one.withdrawn else ""
    name = f" {escape(one.name)}" if one.name else ""
    return (
        f'<details class="{one.state}"><summary>{escape(one.id)}{name}{gone}, {one.state}</summary>'
        f"<ul>{rules}</ul></details>"
    )


def _name(one: Technique) -> Text:
    text = Text(one.id, _STYLES[one.state])
    if one.name:
        text.append(f" {in_line(one.name)}", "default")
    return text.append(" withdrawn", "red") if one.withdrawn else text


def _steps(one: Technique) -> Text:
    """Show the steps as far as the best rule came, and the one that is missing."""
    text = Text("█" * one.reached, _STYLES[one.state]).append("░" * (len(STATES) - one.reached), "dim")
    return text.append(f" {one.state}", _STYLES[one.state])


def _rules(one: Technique) -> str:
    return ", ".join(in_line(rule.name) for rule in one.rules)


def _key() -> Text:
    says = ("a rule has its tag", "its tests pass", "a living source", "it fired on what came in")
    text = Text()
    for number, (state, what) in enumerate(zip(STATES, says, strict=True), 1):
        text.append(f"{'█' * number} {state}", _STYLES[state]).append(f" {what}   ", "dim")
    return text


def _counts(found: Coverage) -> dict[str, int]:
    return {state: sum(one.state == state for one in found.techniques) for state in STATES}


def _summary(found: Coverage) -> Text:
    counts = ", ".join(f"{number} {state}" for state, number in _counts(found).items())
    text = Text(f"{counted(len(found.techniques), 'technique')}: {counts}")
    if found.untagged:
        text.append(
            f"\n{counted(len(found.untagged), 'rule')} without a technique: "
            f"{', '.join(map(in_line, found.untagged))}"
        )
    return text


def technique_document(one: Technique) -> dict[str, object]:
    """Return a technique for machines."""
    return {
        "id": one.id, "name": one.name, "tactics": one.tactics, "state": one.state,
        "withdrawn": one.withdrawn,
        **{state: any(state in rule.holds for rule in one.rules) for state in STATES},
        "rules": [
            {
                "name": rule.name, "rule_id": rule.rule_id, "title": rule.title,
                "states": [state for state in STATES if state in rule.holds],
            }
            for rule in one.rules
        ],
    }  # fmt: skip
