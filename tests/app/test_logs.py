"""Logs: JSON lines where no terminal is, one level for all, and nothing secret in them."""

import io
import json
import logging

import pytest

from lemnis.app import logs
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli import run


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stderr(monkeypatch):
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in logs._LOUD}
    monkeypatch.delenv(logs.VARIABLE, raising=False)

    def to(stream):
        monkeypatch.setattr("sys.stderr", stream)
        return stream

    yield to
    logs.ask(None)
    root.setLevel(level)
    root.handlers[:] = handlers
    for name, one in levels.items():
        logging.getLogger(name).setLevel(one)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_records_are_lines_of_json_with_their_fields(stderr):
    out = stderr(io.StringIO())
    logs.configure(logging.INFO)
    logging.getLogger("lemnis.x").warning("%d files\nare gone", 3)
    logs.get("lemnis.serve").info("worked", source="okta", accepted=4)
    logging.getLogger("lemnis.y").error("no", extra={"path": "a/b"})
    logs.get("lemnis.serve").debug("unseen")
    first, second, third = lines(out)
    assert (first["event"], first["level"], first["logger"]) == ("3 files\nare gone", "warning", "lemnis.x")
    assert first["time"].endswith("Z")
    assert (second["event"], second["source"], second["accepted"]) == ("worked", "okta", 4)
    assert third["path"] == "a/b"


def test_an_exception_is_told_with_its_traceback(stderr):
    out = stderr(io.StringIO())
    logs.configure()
    try:
        int("password=hunter22")
    except ValueError:
        logging.getLogger("lemnis.x").exception("failed")
    (one,) = lines(out)
    assert "Traceback" in one["exception"]
    assert "ValueError" in one["exception"]
    assert "hunter22" not in out.getvalue()


SECRET = "s3cr3t-Value_0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}", f"https://user:{SECRET}@example.com/x", f"token={SECRET}&x=1",
        f'{{"password": "{SECRET}"}}', f"api_key: {SECRET}", f"Splunk {SECRET}",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_secrets_in_texts_are_not_written(stderr, text, stream):
    out = stderr(stream())
    logs.configure()
    logging.getLogger("lemnis.x").warning("it said %s", text)
    assert SECRET not in out.getvalue()
    assert "it said" in out.getvalue()


@pytest.mark.parametrize(
    "name", ["token", "api_key", "secret_key", "Authorization", "db_password", "cookies"]
)
def test_secrets_in_fields_are_not_written(stderr, name):
    out = stderr(io.StringIO())
    logs.configure()
    logs.get("lemnis.x").warning("called", **{name: SECRET, "headers": {name: SECRET}, "tokens_left": 3})
    (one,) = lines(out)
    assert one[name] == one["headers"][name] == "[hidden]"
    assert SECRET not in out.getvalue()


def test_what_only_sounds_like_a_secret_is_written(stderr):
    out = stderr(io.StringIO())
    logs.configure()
    logs.get("lemnis.x").warning("the token refreshed itself", secretary="ada", keyboard="us")
    (one,) = lines(out)
    assert (one["event"], one["secretary"], one["keyboard"]) == ("the token refreshed itself", "ada", "us")


def test_the_level_asked_for_wins_and_libraries_stay_quiet(stderr, monkeypatch):
    out = stderr(io.StringIO())
    monkeypatch.setenv(logs.VARIABLE, "debug")
    logs.ask(None)
    logs.configure()
    logs.configure()
    logging.getLogger("lemnis.x").debug("seen once")
    logging.getLogger("httpx").info("GET https://example.com")
    assert [one["event"] for one in lines(out)] == ["seen once"]
    logs.ask("error")
    logs.configure(logging.INFO)
    logging.getLogger("lemnis.x").warning("not seen")
    assert len(lines(out)) == 1
    with pytest.raises(UsageError):
        logs.ask("loud")


def test_on_a_terminal_a_record_is_a_line_for_people(stderr):
    out = stderr(Terminal())
    logs.configure()
    logs.get("lemnis.x").warning("worked", source="okta")
    assert "worked" in out.getvalue()
    assert "okta" in out.getvalue()
    with pytest.raises(ValueError):
        json.loads(out.getvalue())


def test_the_command_line_takes_a_level(stderr, tmp_path):
    out = stderr(io.StringIO())
    assert run(["--log-level", "loud", "sources", "list", "--workspace", str(tmp_path)]) == 2
    assert "no log level 'loud'" in out.getvalue()
    assert run(["--log-level", "debug", "sources", "list", "--workspace", str(tmp_path)]) == 2
    assert logging.getLogger().level == logging.DEBUG
