"""Service: Rego evaluation and gate decisions."""
