"""Sigma read plainly: a rule's detection as YAML gives it, an event as a mapping, a yes or a no.

Slow and obvious on purpose. It shares nothing with what it judges: its own reader of conditions, its own
matching character by character, no pySigma.

Where Sigma leaves room, it takes what docs/adr/0012 says: small letters one by one; a list of values matches
if one of them does; ``not`` and ``neq`` are true where the field is missing; what is no number, time or
address compares with none.
"""

import base64
import ipaddress
import json
import re
from datetime import UTC, datetime

MANY, ONE = object(), object()
OPERATORS = {"lt", "lte", "gt", "gte"}
PARTS = ("minute", "hour", "day", "week", "month", "year")
FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}


def matches(detection, event, record=None):
    """Say whether an event (field: None, a text or a list of them) meets a detection."""
    searches = {name: value for name, value in detection.items() if name != "condition"}
    conditions = detection["condition"]
    conditions = conditions if isinstance(conditions, list) else [conditions]

    def holds(name):
        return search(searches[name], event, record)

    return any(Condition(text, list(searches), holds).value() for text in conditions)


class Condition:
    """``or`` of ``and`` of ``not`` of names, ``x of`` patterns and parentheses, read from left to right."""

    def __init__(self, text, names, holds):
        self.tokens = re.findall(r"[()]|[^\s()]+", text)
        self.names, self.holds = names, holds

    def value(self):
        result = self.either()
        assert not self.tokens, self.tokens
        return result

    def next_is(self, word):
        if self.tokens and self.tokens[0] == word:
            self.tokens.pop(0)
            return True
        return False

    def either(self):
        result = self.both()
        while self.next_is("or"):
            right = self.both()
            result = result or right
        return result

    def both(self):
        result = self.negated()
        while self.next_is("and"):
            right = self.negated()
            result = result and right
        return result

    def negated(self):
        if self.next_is("not"):
            return not self.negated()
        return self.primary()

    def primary(self):
        if self.next_is("("):
            result = self.either()
            assert self.next_is(")")
            return result
        word = self.tokens.pop(0)
        if word in {"1", "any", "all"} and self.next_is("of"):
            named = self.chosen(self.tokens.pop(0))
            assert named
            results = [self.holds(name) for name in named]
            return all(results) if word == "all" else any(results)
        return self.holds(word)

    def chosen(self, pattern):
        if pattern == "them":
            return [name for name in self.names if not name.startswith("_")]
        return [
            name
            for name in self.names
            if glob([MANY if c == "*" else c for c in pattern], name)
            and (pattern.startswith("_") or not name.startswith("_"))
        ]


def search(definition, event, record):
    """Say whether a search holds: a mapping joins by and, a list by or, a plain value is a keyword."""
    if isinstance(definition, dict):
        return all(item(key, value, event, record) for key, value in definition.items())
    if isinstance(definition, list):
        return any(search(one, event, record) for one in definition)
    return item("", definition, event, record)


def item(key, given, event, record):
    """Say whether one line of a search holds."""
    field, *modifiers = key.split("|")
    wanted = given if isinstance(given, list) else [given]
    if field == "":
        held = [record] if record is not None else []
    else:
        held = event.get(field)
        held = held if isinstance(held, list) else [held]
        held = [value for value in held if value is not None]
    join = all if "all" in modifiers else any
    found = join(one(value, modifiers, held, event, keyword=field == "") for value in wanted)
    return found is not ("neq" in modifiers)


def one(wanted, modifiers, held, event, *, keyword):  # noqa: PLR0911 - one line a kind of question
    """Say whether one wanted value is met by one of the values that a field holds."""
    names = set(modifiers)
    if wanted is None:
        return not held
    if "exists" in names:
        return bool(held) is wanted
    if "fieldref" in names:
        others = event.get(wanted)
        others = [other for other in (others if isinstance(others, list) else [others]) if other is not None]
        return any(refers(small(mine), small(other), names) for mine in held for other in others)
    if "re" in names:
        return any(found_by(wanted, names, value) for value in held)
    if "cidr" in names:
        return any(within(wanted, value) for value in held)
    part = next((name for name in PARTS if name in names), None)
    sign = next((name for name in OPERATORS if name in names), None)
    if part or sign:
        read = (lambda value: part_of(part, value)) if part else number
        return any(compared(read(value), sign or "eq", wanted) for value in held)
    if isinstance(wanted, bool):
        return any(small(value) == str(wanted).lower() for value in held)
    if isinstance(wanted, int | float) and not keyword:
        return any(number(value) == wanted for value in held)
    return any(
        glob(form, value if "cased" in names else small(value))
        for tokens in texts(str(wanted), modifiers)
        for form in forms(tokens, cased="cased" in names, keyword=keyword)
        for value in held
    )


def small(text):
    """Return a text in small letters, each for itself."""
    return "".join(character.lower() for character in text).replace("\u03c2", "\u03c3")


def glob(tokens, text):
    """Match a whole text, character by character: which places of the pattern can be reached?"""

    def onward(places):
        for place in range(len(tokens)):
            if place in places and tokens[place] is MANY:
                places.add(place + 1)
        return places

    reached = onward({0})
    for character in text:
        reached = onward(
            {
                place if tokens[place] is MANY else place + 1
                for place in reached
                if place < len(tokens) and tokens[place] in (MANY, ONE, character)
            }
        )
    return len(tokens) in reached


def read_pattern(text):
    """Return characters and wildcards; a backslash takes the meaning of the wildcard or backslash behind it."""
    tokens, place = [], 0
    while place < len(text):
        character = text[place]
        if character == "\\" and text[place + 1 : place + 2] in {"*", "?", "\\"}:
            tokens.append(text[place + 1])
            place += 2
            continue
        tokens.append({"*": MANY, "?": ONE}.get(character, character))
        place += 1
    return tokens


def texts(wanted, modifiers):
    """Return the patterns that modifiers make of a text, in the order in which they stand."""
    patterns = [read_pattern(wanted)]
    for modifier in modifiers:
        patterns = [made for tokens in patterns for made in modified(tokens, modifier, modifiers)]
    return patterns


def modified(tokens, modifier, modifiers):  # noqa: PLR0911 - one line a modifier
    if modifier == "contains":
        return [[MANY, *tokens, MANY]]
    if modifier == "startswith":
        return [[*tokens, MANY]]
    if modifier == "endswith":
        return [[MANY, *tokens]]
    if modifier in {"wide", "utf16le", "utf16"}:
        mark = ["\ufeff"] if modifier == "utf16" else []
        return [
            mark + [part for token in tokens for part in ([token] if token in (MANY, ONE) else [token, "\0"])]
        ]
    if modifier == "utf16be":
        return [[part for token in tokens for part in ([token] if token in (MANY, ONE) else ["\0", token])]]
    if modifier in {"base64", "base64offset"}:
        data = "".join(tokens).encode()
        if "utf16" in modifiers:
            data = b"\xff\xfe" + "".join(tokens[1:]).encode()
        if modifier == "base64":
            return [list(base64.b64encode(data).decode())]
        return [list(known_part(data, before)) for before in range(3)]
    if modifier == "windash":
        return dashes(tokens)
    return [tokens]


def known_part(data, before):
    """Return the characters of Base64 that data alone decides, with some bytes before it."""
    first = -(-8 * before // 6)
    last = 8 * (before + len(data)) // 6
    return base64.b64encode(b"\0" * before + data).decode()[first:last]


def dashes(tokens):
    """Return the pattern with each dash or slash before a word, and not behind one, as any dash or slash."""

    def word(place):
        token = tokens[place] if 0 <= place < len(tokens) else ""
        return isinstance(token, str) and token != "" and (token.isalnum() or token == "_")

    made = [[]]
    for place, token in enumerate(tokens):
        turns = token in ("-", "/") and word(place + 1) and not word(place - 1)
        made = [[*begun, form] for begun in made for form in ("-/\u2013\u2014\u2015" if turns else [token])]
    return made


def forms(tokens, *, cased, keyword):
    """Return the forms in which a pattern may stand in a value; in a record also as JSON writes it."""
    if not keyword:
        return [tokens if cased else lowered(tokens)]
    written = [tokens, changed(tokens, lambda letter: json.dumps(letter, ensure_ascii=False)[1:-1])]
    spelled = [tokens] if cased else [tokens, lowered(tokens), changed(tokens, large)]
    written += [changed(some, lambda letter: json.dumps(letter)[1:-1]) for some in spelled]
    return [[MANY, *(form if cased else lowered(form)), MANY] for form in written]


def changed(tokens, change):
    return [letter for token in tokens for letter in (change(token) if isinstance(token, str) else [token])]


def lowered(tokens):
    return changed(tokens, small)


def large(letter):
    """Return a letter's capital, if that is one letter."""
    return letter.upper() if len(letter.upper()) == 1 else letter


def refers(mine, other, names):
    if "contains" in names or {"startswith", "endswith"} <= names:
        return other in mine
    if "startswith" in names:
        return mine[: len(other)] == other
    if "endswith" in names:
        return mine[len(mine) - len(other) :] == other if len(other) <= len(mine) else False
    return mine == other


def found_by(pattern, names, text):
    """Search; ``$`` is the very end of a text, or with ``m`` of a line."""
    flags = re.ASCII
    for name in names & set(FLAGS):
        flags |= FLAGS[name]
    if "m" not in names and pattern.endswith("$"):
        pattern = pattern[:-1] + r"\Z"
    return re.search(pattern, text, flags) is not None


def within(network, text):
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address in ipaddress.ip_network(network)


def number(text):
    """Read a decimal number or one in hexadecimal, with a sign; None for any other text."""
    sign = -1 if text[:1] == "-" else 1
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if re.fullmatch("0[xX][0-9a-fA-F]+", digits):
        return sign * int(digits, 16)
    if re.fullmatch("[0-9]+", digits):
        return sign * int(digits)
    if re.fullmatch(r"([0-9]+\.[0-9]*|\.?[0-9]+)([eE][-+]?[0-9]{1,3})?", digits):
        return sign * float(digits)
    return None


def part_of(part, text):
    """Read a time and return a part of it in UTC; None if it is no time."""
    try:
        if re.fullmatch("[0-9]{9,20}", text):
            exponent = 0 if len(text) <= 11 else 3 if len(text) <= 14 else 6 if len(text) <= 17 else 9
            moment = datetime.fromtimestamp(int(text) / 10**exponent, UTC)
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.isocalendar()[1] if part == "week" else getattr(moment, part)


def compared(read, sign, wanted):
    if read is None:
        return False
    return {
        "eq": read == wanted,
        "lt": read < wanted,
        "lte": read <= wanted,
        "gt": read > wanted,
        "gte": read >= wanted,
    }[sign]
