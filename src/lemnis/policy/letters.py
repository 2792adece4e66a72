"""Text as the engine can hold it: quotes, backslashes and control characters are exchanged for stand-ins.

The engine keeps texts as they are written in JSON, but takes input as it is and prints what it has without
escaping it: a quote in a file's name would end the text in the answer, and whoever names files could write
the decision. So none of these characters ever gets in. Stand-ins are letters of Unicode's private use area;
texts have the same length with them, and those of a policy are exchanged alike.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from lemnis.policy.tokens import Source, tokens, value

_BASE = 0xE000
_SPECIAL = {*range(0x20), 0x22, 0x5C, 0x7F}
_STAND_INS = {code: chr(_BASE + code) for code in _SPECIAL}
_IN = _STAND_INS | dict.fromkeys((_BASE + code for code in _SPECIAL), "\N{REPLACEMENT CHARACTER}")
_OUT = {_BASE + code: chr(code) for code in _SPECIAL}


def inward(found: Any) -> Any:
    """Return a document with stand-ins in every text."""
    if isinstance(found, str):
        return found.translate(_IN)
    if isinstance(found, dict):
        return {str(key).translate(_IN): inward(item) for key, item in found.items()}
    if isinstance(found, list | tuple):
        return [inward(item) for item in found]
    return found


def outward(found: Any) -> Any:
    """Return an answer with the characters that the stand-ins stand for."""
    if isinstance(found, str):
        return found.translate(_OUT)
    if isinstance(found, dict):
        return {key.translate(_OUT): outward(item) for key, item in found.items()}
    if isinstance(found, list):
        return [outward(item) for item in found]
    return found


@lru_cache(maxsize=256)
def module(text: str) -> str:
    """Return a module with stand-ins in its texts; raises ContentError if it cannot be read."""
    source = Source("", text)
    parts, last = [], 0
    for word in tokens(source):
        if word.kind in {"string", "raw"}:
            said = str(value(source, word)).translate(_IN)
            parts += [text[last : word.start], json.dumps(said, ensure_ascii=False)]
            last = word.end
    return "".join([*parts, text[last:]])
