"""The console's pages: rendered on the server, one module a page. What they show is asked of ``lemnis.app``."""
