"""What may come next in a rule: keys, values, fields of its log source."""

import pytest

from lemnis.app.rules_completing import log_source, offers
from lemnis.app.rules_fields import Served, Vocabulary
from lemnis.contracts.detection import Offers

KNOWN = Vocabulary((
    Served(Offers(frozenset({"linux"}), frozenset({"process_creation"}), frozenset({"auditd"})),
           frozenset({"CommandLine", "Image", "ParentImage", "asset.owner"}), (), frozenset(), fixed=False),
    Served(Offers(frozenset({"okta"}), frozenset(), frozenset({"okta"})), frozenset({"eventType", "actor.id"}), (), frozenset(), fixed=False),
))  # fmt: skip
RULE = """\
title: One
tags:
- attack.t1059
logsource:
  product: linux
detection:
  selection:
    Image|endswith: /sh
  other:
    - CommandLine: a
  condition: selection
level: high
"""


def asked(before, after=""):
    found = offers(before + after, len(before), KNOWN)
    return found.back, [text for text, _ in found.texts]


@pytest.mark.parametrize(("before", "back", "some"), [
    ("ti", 2, ["title: "]), (RULE + "lev", 3, []), ("stat", 4, ["status: "]), ("title: x\nlevel: h", 1, ["high"]),
    ("status: ", 0, ["stable", "test", "experimental", "deprecated", "unsupported"]),
    ("logsource:\n  p", 1, ["product: "]), ("logsource:\n  product: ", 0, ["linux", "okta"]),
    ("logsource:\n  product: linux\n  category: p", 1, ["process_creation"]), ("logsource:\n  product: okta\n  service: ", 0, ["okta"]),
    ("tags:\n- attack.ex", 9, ["attack.execution", "attack.exfiltration"]), ("tags:\n  - attack.per", 10, ["attack.persistence"]),
    ("detection:\n  con", 3, ["condition: "]),
    ("logsource:\n  product: linux\ndetection:\n  selection:\n    im", 2, ["Image", "ParentImage"]),
    ("logsource: {product: okta}\ndetection:\n  selection:\n    - e", 1, ["eventType"]),
    ("detection:\n  selection:\n    a:\n    actor", 5, ["actor.id"]),
    ("detection:\n  selection:\n    Image|ends", 4, ["endswith"]), ("detection:\n  s:\n    Image|re|c", 1, ["contains", "cidr", "cased"]),
    (RULE.partition("  condition")[0] + "  condition: selection and not o", 1, ["other", "or"]),
    ("title: some thi", 0, []), ("x: 1\nunknown:\n  k", 0, []), ("", 0, ["title: "]),
])  # fmt: skip
def test_what_may_come_next(before, back, some):
    found = asked(before)
    assert found[0] == back
    assert found[1][: len(some)] == some
    if not some:
        assert found[1] == []


@pytest.mark.parametrize(("text", "source"), [
    (RULE, ("linux", None, None)), ("logsource: {category: 'a', service: \"b\"}", (None, "a", "b")), ("", (None, None, None)),
    ("logsource:\n  product: x # why\ndetection:\n  product: y", ("x", None, None)),
])  # fmt: skip
def test_the_log_source_is_read_of_what_is_written(text, source):
    assert log_source(text) == source


def test_any_place_of_any_text_is_answered():
    for at in range(len(RULE) + 5):
        found = offers(RULE, at, KNOWN)
        assert 0 <= found.back <= at
        assert len(found.texts) <= 12
