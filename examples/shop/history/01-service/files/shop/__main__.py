"""Start a part of the shop: ``python3 -m shop web``."""

import sys

from shop import web

PARTS = {"web": web.serve}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in PARTS:
        print("usage: python3 -m shop " + "|".join(PARTS), file=sys.stderr)
        return 2
    PARTS[arguments[0]]()
    return 0


sys.exit(main(sys.argv[1:]))
