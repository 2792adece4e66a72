"""A source whose first mapping rejects, and the mapping that was fixed; no test itself."""

NOW = 1_762_200_000_000
MAPPING = """
common: {time: {from: t, format: iso}}
events:
  - name: all
    class: http_activity
    when: {}
    activity: 99
    set: {message: said, http_request.http_method: {value: GET}}
"""
FIXED = MAPPING.replace("{from: t, format: iso}", "[{from: t, format: iso}, {from: t, format: epoch_ms}]")


def source(workspace, parser, mapped):
    folder = workspace.content / "sources" / "acme"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.yaml").write_text(f"name: acme\ntitle: A\nvendor: A\nproduct: A\n{parser}\n")
    (folder / "mapping.yaml").write_text(mapped)


def told(replayed):
    return replayed.read, replayed.done.accepted, replayed.done.duplicates, replayed.rejected, replayed.left


KINDS = {
    "lines of JSON": ("parser: jsonl", '{{"t": {t}, "said": "word {n}", "nested": {{"a": [1, {n}]}}}}\n'),
    "documents": ("parser: jsonl", '{{\n  "t": {t},\n  "said": "word {n}"\n}}\n'),
    "a table": ("parser: csvlines", '{t},"word\n{n}"\n'),
    "a pattern": ("parser: pattern\noptions: {line: '^(?P<t>\\S+) (?P<said>.*)$'}", "{t} word {n}\n"),
}


def text(kind, count=60):
    head = "t,said\n" if kind == "a table" else ""
    quote = '"' if "JSON" in kind or "doc" in kind else ""
    times = [f"{quote}2025-11-03T10:00:00Z{quote}" if n % 3 else str(NOW + n) for n in range(count)]
    return head + "".join(KINDS[kind][1].format(t=t, n=n) for n, t in enumerate(times))
