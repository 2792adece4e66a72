"""Stage: the Sigma compiler and the batch matcher.

``load_rules`` reads and compiles, ``Matcher`` matches frames, ``alerts`` makes alerts of what matched.
"""

from lemnis.detect.matcher import Matcher
from lemnis.detect.rules import Rule, RuleSet, load_rules

__all__ = ["Matcher", "Rule", "RuleSet", "load_rules"]
