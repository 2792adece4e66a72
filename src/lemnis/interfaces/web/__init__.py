"""The console's pages: rendered on the server, one module a page; what they show is of ``lemnis.app``."""
