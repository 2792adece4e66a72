"""Service: Rego evaluation and gate decisions.

``decide`` asks the policies of a stage about a document (``document`` makes it); ``checked`` reads a policy
and refuses what the engine would silently leave undefined (ADR 0040).
"""

from lemnis.policy.decide import Exempt, Policy, checked, decide
from lemnis.policy.engine import Engine

__all__ = ["Engine", "Exempt", "Policy", "checked", "decide"]
