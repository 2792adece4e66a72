"""The stock service: reserves pieces; one line in, one line out."""

import os
import socketserver
from collections import Counter

from shop import catalogue

STOCK: Counter[int] = Counter({article.number: 100_000 for article in catalogue.ARTICLES})


class Desk(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        words = self.rfile.readline(4096).decode().split()
        answer = COMMANDS.get(words[0] if words else "", unknown)(words[1:])
        self.wfile.write(answer.encode() + b"\n")


def reserve(words: list[str]) -> str:
    wanted = Counter({int(number): int(pieces) for number, _, pieces in (word.partition("x") for word in words)})
    if any(STOCK[number] < pieces for number, pieces in wanted.items()):
        return "short"
    STOCK.subtract(wanted)
    return "ok"


def invoice(words: list[str]) -> str:
    print(f"invoice {words[0]} over {words[1]} cents", flush=True)
    return "ok"


def unknown(words: list[str]) -> str:
    return "what?"


COMMANDS = {"reserve": reserve, "invoice": invoice}


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def serve() -> None:
    address, port = os.environ.get("SHOP_ADDRESS", "127.0.0.1"), int(os.environ.get("SHOP_PORT", "8090"))
    Server((address, port), Desk).serve_forever()
