"""HTTP: whatever is sent is read, or refused with a reason."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.ingest.transports import _bodies, _dialect_elastic, _dialect_hec, _otlp, _senders
from lemnis.ingest.transports._desk import RefusedError

PIECES = st.sampled_from([
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\n", b" ", b"\\", b"\xff", b"\x00", b"null", b"1e999", b'{"event":"x"}',
    b'{"create":{"_index":"a"}}', b'{"index":{}}', b'{"delete":{}}', b'{"update":null}', b'{"event":{"a":[]}}',
    b'{"resourceLogs":', b'{"scopeLogs":', b'{"logRecords":', b"[{}]", b'"event"', b'"\\ud800"',
])  # fmt: skip
BODIES = st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=60)


@given(BODIES)
def test_any_body_is_read_or_refused_with_a_reason(body):
    with suppress(_dialect_hec.WrongError):
        for found in _dialect_hec.events(body):
            source, line = _dialect_hec.record(found, _dialect_hec.Hec())
            assert (source, line.count(b"\n")) == ("auto", 1)
    with suppress(RefusedError):
        for item in _dialect_elastic.items(body, "x"):
            with suppress(ValueError):
                assert _dialect_elastic.record(item.document, "a.b").count(b"\n") == 1
    with suppress(_otlp.ExportError):
        for line in _otlp.json_lines(body):
            assert line.count(b"\n") == 1
    with suppress(_otlp.ExportError):
        list(_otlp.lines(_otlp.from_protobuf(body)))
    bodies = _bodies.Bodies(1000, 1000, 1000, 1)
    for unpack in _bodies._UNPACK.values():
        with suppress(_bodies.BadBodyError):
            bodies._unpacked(unpack, body)


@given(
    st.lists(st.text(max_size=20).filter(bool), min_size=1, max_size=6),
    st.sampled_from(["", "\n", " ", ",", "\r\n"]),
)
def test_events_come_out_as_they_went_in(texts, between):
    body = between.join(json.dumps({"event": text}) for text in texts).encode()
    assert [found["event"] for found in _dialect_hec.events(body)] == texts


@given(st.text(max_size=30))
def test_an_authorization_is_known_or_refused(text):
    senders = _senders.Senders({_senders._digest("fake"): _senders.Sender("a")})
    with pytest.raises(_senders.UnknownError):
        senders.find(text)
