"""Frames made by hand."""

import numpy as np
import pyarrow as pa

from lemnis.contracts.detection import Frame, Offers
from lemnis.detect import Matcher
from lemnis.detect.rules import compile_files

OFFERS = Offers(frozenset({"test"}))
HEAD = "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {product: test}\n"


def frame(rows, records=None, offers=OFFERS):
    """Make a frame of rows, each a mapping of field to text, list of texts, or nothing."""
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if any(isinstance(value, list) for value in values):
            values = [value if value is None or isinstance(value, list) else [value] for value in values]
            columns[name] = pa.array(values, pa.list_(pa.string()))
        else:
            columns[name] = pa.array(values, pa.string())
    texts = records if records is not None else [None] * len(rows)
    return Frame("s", "o", offers, columns, pa.array(texts, pa.string()), np.arange(len(rows)))


def compiled(text):
    """Compile the text of one rule; it must be without problems."""
    found = compile_files([("rule.yml", text.encode())])
    assert not found.problems, found.problems
    return found


def fires(detection, rows, records=None):
    """Return the rows that a rule with this detection matches."""
    found = compiled(HEAD + detection)
    matches = Matcher(found.rules, found.atoms).match(frame(rows, records))
    return [row for match in matches for row in match.rows]
