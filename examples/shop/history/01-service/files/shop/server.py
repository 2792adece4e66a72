"""HTTP: a request goes to the function that stands beside its path in a table."""

import datetime
import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Query = dict[str, str]
Answer = tuple[int, object]
Page = Callable[[Query], Answer]
MAX_BODY = 65_536


def make_server(address: str, port: int, routes: dict[str, Page]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "shop"
        sys_version = ""
        timeout = 20

        def do_GET(self) -> None:
            self._serve(urlsplit(self.path).query)

        def do_HEAD(self) -> None:
            self._serve(urlsplit(self.path).query)

        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY)
            self._serve(self.rfile.read(length).decode("utf-8", "replace"))

        def _serve(self, fields: str) -> None:
            query = {name: values[-1] for name, values in parse_qs(fields).items()}
            page = routes.get(urlsplit(self.path).path)
            try:
                status, body = page(query) if page else (404, {"error": "no such page"})
            except (KeyError, ValueError) as error:
                status, body = 400, {"error": str(error)}
            except Exception as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                status, body = 500, {"error": "something went wrong"}
            data = json.dumps(body, ensure_ascii=False).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
            self._log(status, len(data))

        def _log(self, status: int, size: int) -> None:
            now = datetime.datetime.now(datetime.UTC).strftime("%d/%b/%Y:%H:%M:%S %z")
            agent = _quoted(self.headers.get("User-Agent", "-"))
            referer = _quoted(self.headers.get("Referer", "-"))
            # One write a line: requests are answered by many threads.
            line = f'{self.client_address[0]} - - [{now}] "{_quoted(self.requestline)}" {status} {size} "{referer}" "{agent}"'
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

        def log_message(self, *_: object) -> None:
            """The standard library's own log is not wanted."""

    return ThreadingHTTPServer((address, port), Handler)


def _quoted(text: str) -> str:
    """Escape what would end a quoted field of the log."""
    return text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
