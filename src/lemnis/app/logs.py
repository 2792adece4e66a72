"""Logging, configured in this one place: to stderr, by structlog; of libraries only what is wrong.

On a terminal a record is a line for people, elsewhere a line of JSON: ``time`` (RFC 3339), ``level``,
``logger``, ``event``, and the record's own fields; an exception is in ``exception``. What looks like a secret
is never written, whether it is a field of its own or part of a text.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from lemnis.contracts.errors import UsageError

if TYPE_CHECKING:
    import structlog

VARIABLE = "LEMNIS_LOG"
LEVELS = ("debug", "info", "warning", "error")
_LOUD = (
    "aiokafka", "alembic", "asyncio", "boto3", "botocore", "dbos", "httpcore", "httpx", "nats", "s3transfer",
    "sqlalchemy", "urllib3", "uvicorn",
)  # fmt: skip
_HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(
    r"(?i)(^|[_.-])(authorization|cookie|credentials?|password|passwd|pwd|secret|signature|token|api_?key|"
    r"access_?key|private_?key)s?($|[_.-])"
)
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic|splunk|token)\s+(?=\S*[0-9])[A-Za-z0-9+/._~=-]{8,}"), r"\1 " + _HIDDEN),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@"), r"\1:" + _HIDDEN + "@"),
    (
        re.compile(r"(?i)\b((?:api_?key|access_?key|password|passwd|secret|token|signature)[\"']?\s*[=:]\s*)"
                   r"[\"']?[^\s\"'&,;)}]+"),
        r"\1" + _HIDDEN,
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)"), _HIDDEN),
)  # fmt: skip
_asked: list[int] = []
"""The level that the command line asked for, if it did."""


def ask(level: str | None) -> None:
    """Take the level that was asked for on the command line, else in LEMNIS_LOG; raises UsageError."""
    named = level or os.environ.get(VARIABLE, "")
    if named and named.lower() not in LEVELS:
        raise UsageError(f"no log level {named!r}", fix=f"one of {', '.join(LEVELS)}")
    _asked[:] = [logging.getLevelNamesMapping()[named.upper()]] if named else []


def configure(level: int = logging.WARNING) -> None:
    """Send log records of this level and above to stderr, unless another level was asked for."""
    chosen = _asked[0] if _asked else level
    root = logging.getLogger()
    for known in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(known)
    handler = _Stderr()
    handler.setFormatter(_Lazy())
    root.addHandler(handler)
    root.setLevel(chosen)
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(chosen, logging.WARNING))


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger that takes fields: ``get("lemnis.serve").info("worked", source=…, accepted=…)``."""
    import structlog

    made: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    )
    return made


def scrubbed(text: str) -> str:
    """Return a text without what looks like a secret in it."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class _Stderr(logging.Handler):
    """Writes to whatever stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - a record that cannot be written stops no work
            self.handleError(record)


class _Lazy(logging.Formatter):
    """Loads structlog when there is something to say: most commands say nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[bool, logging.Formatter] = {}

    def format(self, record: logging.LogRecord) -> str:
        terminal = sys.stderr.isatty()
        if terminal not in self._made:
            self._made[terminal] = _formatter(terminal=terminal)
        return self._made[terminal].format(record)


def _formatter(*, terminal: bool) -> logging.Formatter:
    import orjson
    import structlog

    def rendered(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
        return orjson.dumps(dict(event), default=str).decode()

    last: list[Any] = [_hide, structlog.dev.ConsoleRenderer()]
    if not terminal:
        last = [structlog.processors.format_exc_info, _hide, rendered]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.processors.TimeStamper("iso", utc=True, key="time"),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *last,
        ],
    )


def _hide(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: _hidden(name, value) for name, value in event.items()}


def _hidden(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name) and value not in {None, ""}:
        return _HIDDEN
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, dict):
        return {key: _hidden(str(key), one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden("", one) for one in value]
    return value
