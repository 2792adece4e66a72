"""The search language: read (`filters`, `pipes`), compiled to parameterised SQL, and run newest first.

Nothing that people type becomes SQL text: names are those of the lake's schemas or our own, values go in as
parameters. docs/search.md says what the language means.
"""
