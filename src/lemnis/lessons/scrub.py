"""Takes from samples what must not go into git: credentials, and who and where people and systems are.

Addresses become those for documentation (RFC 5737, RFC 3849, RFC 7042), e-mail addresses those of
example.com (RFC 2606), names ``person1``, accounts and numbers of people digits that mean nothing: the same
one each time, so that the sample still shows which records belong together. Credentials are taken out. Doing
it twice changes nothing more. Of ordinary records, what people wrote into requests goes too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

REMOVED = "[removed]"
_WORD = (
    "(?:password|passwd|passphrase|pwd|secret|api_?key|access_?key|private_?key|token|session|sessid)"
    "(?:[_-]?(?:id|key|value))?"
)
_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^\"']*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?=[\"'])|$)"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,20}\b"),  # AWS access key ids
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}\b"),  # GitHub tokens
    re.compile(r"\bgithub_pat_\w{20,}\b"),
    re.compile(r"\bgl(?:pat|dt|rt|ptt|cbt)-[\w-]{16,}"),  # GitLab tokens
    re.compile(r"\bxox[abeoprs]-[\w-]{10,}"),  # Slack tokens
    re.compile(r"\bnpm_[A-Za-z0-9]{30,}\b"),
    re.compile(r"\bpypi-[\w-]{30,}"),
    re.compile(r"\bAIza[\w-]{30,}"),  # Google API keys
    re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),  # Stripe keys
    re.compile(r"\bhv[sb]\.[\w-]{20,}"),  # Vault tokens
    re.compile(r"\b00[A-Za-z0-9_-]{40}\b"),  # Okta API tokens
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),  # JSON Web Tokens
    re.compile(r"(?i)(?P<keep>bearer )[\w.~+/-]{8,}=*"),
    re.compile(r"(?i)(?P<keep>\bbasic )[A-Za-z0-9+/]{8,}=*"),
    re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://[^\s/:@\"']*:)(?!\[removed\])[^\s/@\"']+(?=@)"),  # in a URL
    re.compile(r"(?i)(?P<keep>(?:password|passwd|secret|api_?key|token|session|sessid)=)[^&\s\"';]+"),
    re.compile(  # JSON, also as a text within JSON
        rf"(?i)(?P<keep>\b[\w.-]{{0,40}}{_WORD}\\*[\"']\s*:\s*\\*[\"'])(?!\[removed\])[^\"'\\]+"
    ),
    re.compile(
        r"(?i)(?P<keep>\b(?:set-)?cookie\\*[\"']?\s*:\s*\\*[\"']?)"
        r"(?!\[removed\])[^\s\"'\\][^\"'\\\r\n]*"
    ),
    re.compile(r"(?i)(?P<keep>\bx-amz-(?:signature|security-token|credential)=)[^&\s\"']+"),
)
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+-]{1,64}(?:@|%40)(?:[\w-]+\.)+[^\W\d_]{2,}(?![\w-])")
_NAMED = re.compile(
    r"""(?ix)(?P<keep>(?<![\w.])(?:user|actor|user_?name|display_?name|full_?name|first_?name|last_?name|
    given_?name|family_?name|sur_?name|login|logon_?name|real_?name|actor_?name|account_?name|
    target_?user_?name|subject_?user_?name|principal_?name|owner_?name|acct|person|customer|recipient)
    (?:\\*["'])?\s*[:=]\s*(?:\\*["'])?)
    (?P<name>(?<=["'])[^"'\\\r\n]{2,80}(?=\\*["'])|(?<!["'])[^\s"'\\&,;{}\[\]]{2,80})"""
)
"""A field that holds who somebody is, in JSON (also in a text within JSON) or as ``key=value``."""
_USER_OF_LOG = re.compile(
    r"^(?P<keep>\S+ \S+ )(?P<name>(?!-)\S+)(?= \[\d{2}/\w{3}/\d{4})"
)  # CLF: host ident user
_HOME = re.compile(r"(?P<keep>(?:/home/|/Users/|[A-Za-z]:\\{1,2}Users\\{1,2}))(?P<name>[^/\\\s\"':]{2,40})")
_ARN_USER = re.compile(r"(?P<keep>:(?:user|federated-user)/(?:[\w+=,.@-]+/)*)(?P<name>[\w+=,.@-]{2,64})")
_ARN_SESSION = re.compile(r"(?P<keep>:assumed-role/[\w+=,.@-]+/)(?P<name>[\w+=,.@-]{2,64})")
_IN_WORDS = re.compile(r"(?P<keep>\b(?:for(?: invalid user)?|user) )(?P<name>[\w.-]{2,64})(?= from )")
_WHO = (_NAMED, _IN_WORDS, _USER_OF_LOG, _HOME, _ARN_USER, _ARN_SESSION)
_NOBODY = frozenset(
    (
        *("root", "system", "nobody", "anonymous", "admin", "administrator", "guest", "daemon", "default"),
        *("user", "none", "null", "unknown", "true", "false", "localhost", "public", "shared"),
        *("ubuntu", "ec2-user"),
        *("www-data", "nginx", "apache", "postgres", "mysql", "redis"),
    )
)
"""Names that every system has: they say what did something, not who."""
_SHORTEST = 3
"""Letters of a name that goes wherever it stands as a word; shorter ones go where a name stands."""
_PSEUDONYM = re.compile(r"person\d+(?:(?:@|%40)example\.com)?|\[removed\]")
_ACCOUNT = re.compile(
    r"(?i)(?P<keep>(?:arn:aws[\w-]*:[\w-]*:[\w-]*:|account_?id\\*[\"']?\s*[:=]\s*\\*[\"']?))"
    r"(?P<digits>\d{12})(?!\d)"
)
_MAC = re.compile(
    r"(?<![\w:-])[0-9A-Fa-f]{2}(?P<between>[:-])(?:[0-9A-Fa-f]{2}(?P=between)){4}[0-9A-Fa-f]{2}(?![\w:-])"
)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_DIGITS = re.compile(r"(?<![\w.-])\d(?:[ -]?\d)*(?![\w-])")
_CARD = range(13, 20)
"""How many digits a card's number has; it begins with 3 to 6."""
_PHONE = re.compile(r"(?<![\w+])\+[1-9]\d{0,2}(?:[ ().-]{0,2}\d){7,12}(?![\w])")
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])"
)
_PRODUCT = re.compile(r"[\s\"(;][A-Za-z][\w-]*/\Z")  # a version stands after it, RFC 9110, section 10.1.5
_QUERY = re.compile(r"\?[^\s\"?#]+")
_PART = re.compile(r"((?:%[0-9A-Fa-f]{2})+|[^\W\d_]+|\d+)")
_DOCUMENTATION = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))


@dataclass(slots=True)
class _Seen:
    """What stands for what, over all records of a sample."""

    addresses: dict[str, str] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    machines: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)

    def person(self, name: str) -> str:
        """Return the pseudonym of a name or a mailbox: of both of somebody where they are alike."""
        key = name.casefold()
        return f"person{self.people.setdefault(key, len(self.people) + 1)}"


def scrub(records: Sequence[str], known: Collection[str] = (), keep: Collection[str] = ()) -> list[str]:
    """Return the records without credentials, and with others' addresses, names, accounts and numbers.

    ``known`` are names of people and systems that must go wherever they stand, whatever stands around them
    (as those of the directory, or of the assets). ``keep`` are words that a detection looks for: where such a
    word is somebody's name too, it goes only where a name stands. Scrubbing twice changes nothing more.
    """
    seen = _Seen()
    cleaned = [_scrub(record, seen) for record in records]
    kept = {word.casefold() for word in keep} | _NOBODY
    told = {name.casefold() for name in known} | {name for name in seen.people if name not in kept}
    names = {name for name in told if len(name) >= _SHORTEST and not _PSEUDONYM.fullmatch(name)}
    return [_everywhere(record, names, seen) for record in cleaned] if names else cleaned


def _scrub(record: str, seen: _Seen) -> str:
    text = record
    for secret in _SECRETS:
        text = secret.sub(lambda found: found.groupdict().get("keep", "") + REMOVED, text)
    text = _EMAIL.sub(lambda found: _mailbox(found.group(), seen), text)
    for who in _WHO:
        text = who.sub(lambda found: found["keep"] + _name(found["name"], seen), text)
    text = _ACCOUNT.sub(lambda found: found["keep"] + _numbered(found["digits"], seen.accounts), text)
    text = _MAC.sub(lambda found: _machine(found.group(), found["between"], seen), text)
    text = _IBAN.sub(lambda found: _if(_is_iban, found.group()), text)
    text = _DIGITS.sub(lambda found: _cards(found.group()), text)
    text = _PHONE.sub(lambda found: "+" + "0" * (len(_digits(found.group()))), text)
    return _ADDRESS.sub(lambda found: _address(found, seen), text)


def _address(match: re.Match[str], seen: _Seen) -> str:
    text = match.group()
    if _PRODUCT.search(match.string, max(0, match.start() - 40), match.start()):
        return text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # looks like an address and is none, such as a version or a time
        return text
    if address.is_unspecified:
        return text
    network = _DOCUMENTATION[address.version == 6]  # noqa: PLR2004 - IP versions are 4 and 6
    return seen.addresses.setdefault(text, str(network[1 + len(seen.addresses) % 250]))


def _mailbox(text: str, seen: _Seen) -> str:
    """Return what stands for an e-mail address; its local part is a name like any other."""
    at = "%40" if "%40" in text else "@"
    local, _, domain = text.partition(at)
    if _is_shape(text):
        return text
    if domain.casefold() == "example.com" and _PSEUDONYM.fullmatch(local):
        seen.person(local)
        return text
    return f"{seen.person(local)}{at}example.com"


def _name(text: str, seen: _Seen) -> str:
    """Return what stands for a name; what names nobody stays."""
    plain = text.strip()
    if _is_shape(plain) or not any(letter.isalpha() for letter in plain):
        return text
    if plain.casefold() in _NOBODY or plain.startswith("system:"):
        return text
    if _PSEUDONYM.fullmatch(plain):
        seen.person(re.split("@|%40", plain)[0])
        return text
    return seen.person(plain)


def _everywhere(record: str, names: Collection[str], seen: _Seen) -> str:
    """Replace names wherever they stand as words, longest first, in URLs and texts too."""
    forms = {form: name for name in names for form in (name, quote(name), name.replace(" ", "+"))}
    pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(
        rf"(?i)(?<![^\W_])(?:{pattern})(?![^\W_])",
        lambda found: seen.person(forms.get(found.group().casefold(), found.group())),
        record,
    )


def _numbered(digits: str, seen: dict[str, str]) -> str:
    """Return twelve digits that stand for an account's (AWS documents with 111122223333 and its like)."""
    return digits if _is_shape(digits) else seen.setdefault(digits, f"{111122220000 + len(seen) + 1}")


def _machine(text: str, between: str, seen: _Seen) -> str:
    """Return a MAC address for documentation (RFC 7042, section 2.1.2)."""
    number = len(seen.machines) % 256
    made = between.join(("00", "00", "5E", "00", "53", f"{number:02X}"))
    return seen.machines.setdefault(text.casefold(), made)


def _is_shape(text: str) -> bool:
    """Say whether a text is a shape already (``mask``): it tells of nobody."""
    return not re.search(r"[^\W_x0]", unquote(text))


def _if(real: Callable[[str], bool], text: str) -> str:
    return re.sub(r"[0-9]", "0", text) if real(text) else text


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _cards(run: str) -> str:
    """Return groups of digits without cards' numbers, whatever other numbers stand before and behind them."""
    parts = re.split(r"([ -])", run)
    start = 0
    while start < len(parts):
        end, digits = start, parts[start]
        while not (fits := digits[0] in "3456" and len(digits) in _CARD and _is_card(digits)):
            end += 2
            if end >= len(parts) or len(digits) >= _CARD[-1]:
                break
            digits += parts[end]
        if fits:
            parts[start : end + 1] = [re.sub(r"[0-9]", "0", part) for part in parts[start : end + 1]]
        start = end + 2 if fits else start + 2
    return "".join(parts)


def _is_card(text: str) -> bool:
    """Say whether digits are a card's: Luhn's sum (ISO/IEC 7812-1), of 13 to 19; zeros are nobody's."""
    digits = [int(one) for one in _digits(text)]
    doubled = [sum(divmod(2 * one, 10)) if place % 2 else one for place, one in enumerate(reversed(digits))]
    return any(digits) and sum(doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    """Say whether a text is an IBAN: remainder 1 by 97 (ISO 13616, ISO 7064)."""
    plain = text.replace(" ", "")
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(one, 36)) for one in turned)) % 97 == 1


def mask(records: Sequence[str]) -> list[str]:
    """Return the records with the values of their queries as shapes: letters ``x``, digits ``0``.

    What stands between them stays, raw or encoded: by that a detection tells an attack from ordinary use,
    and not by what someone is called or where they live.
    """
    return [_QUERY.sub(_mask_query, record) for record in records]


def _mask_query(found: re.Match[str]) -> str:
    parameters = []
    for parameter in found.group()[1:].split("&"):
        name, equals, value = parameter.partition("=")
        if value == REMOVED:
            parameters.append(parameter)
            continue
        parameters.append(f"{name}{equals}{_PART.sub(_mask_part, value)}")
    return "?" + "&".join(parameters)


def _mask_part(found: re.Match[str]) -> str:
    text = found.group()
    if not text.startswith("%"):
        return ("0" if text[0].isdigit() else "x") * len(text)
    plain = "".join(_shape(character) for character in unquote(text, errors="replace"))
    return quote(plain, safe="x0")


def _shape(character: str) -> str:
    """Return what stands for a character: a letter or a digit, or itself if it is neither."""
    return (
        "x" if character.isalpha() or not character.isascii() else "0" if character.isdigit() else character
    )
