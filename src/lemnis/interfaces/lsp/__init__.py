"""The language server: Lemnis in an editor, over standard input and output (LSP 3.17)."""
