"""OTLP: what exporters send, over HTTP and gRPC, in both forms; as the otlp_logs source reads it."""

import asyncio
import gzip

import orjson
import pytest
from listening import Noting, build, http, running
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from lemnis.contracts.errors import BusyError, ServiceError

grpc = pytest.importorskip("grpc", reason="the extra grpc is not installed")


def export():
    request = ExportLogsServiceRequest()
    of_resource = request.resource_logs.add()
    one = of_resource.resource.attributes.add(key="service.name")
    one.value.string_value = "gate"
    of_scope = of_resource.scope_logs.add()
    of_scope.scope.name = "gate.http"
    record = of_scope.log_records.add(
        time_unix_nano=1_770_109_203_123_456_789, severity_number=13, severity_text="WARN",
        trace_id=bytes(range(16)), span_id=bytes(range(8)), event_name="denied",
    )  # fmt: skip
    record.body.kvlist_value.values.add(key="tries").value.int_value = 2**60
    inner = record.body.kvlist_value.values.add(key="list").value.array_value
    inner.values.add().bool_value = True
    inner.values.add().double_value = 0.5
    inner.values.add().bytes_value = b"\xff"
    inner.values.add()
    second = of_scope.log_records.add(observed_time_unix_nano=5)
    second.body.string_value = "two\nlines"
    return request


LINES = [
    {
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gate"}}]},
        "scope": {"name": "gate.http"},
        "logRecord": {
            "timeUnixNano": "1770109203123456789", "severityNumber": 13, "severityText": "WARN",
            "traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "eventName": "denied",
            "body": {"kvlistValue": {"values": [
                {"key": "tries", "value": {"intValue": str(2**60)}},
                {"key": "list", "value": {"arrayValue": {"values": [
                    {"boolValue": True}, {"doubleValue": 0.5}, {"bytesValue": "/w=="}, {},
                ]}}},
            ]}},
        },
    },
    {
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gate"}}]},
        "scope": {"name": "gate.http"},
        "logRecord": {"observedTimeUnixNano": "5", "body": {"stringValue": "two\nlines"}},
    },
]  # fmt: skip


def lines(receiver):
    (one,) = receiver.deliveries
    assert one.source == "otlp_logs"
    return [orjson.loads(line) for line in one.data.splitlines()]


PROTOBUF, JSON = (
    {"Content-Type": "application/x-protobuf"},
    {"Content-Type": "application/json; charset=utf-8"},
)


def test_protobuf_over_http(tmp_path):
    async def talk():
        async with http(tmp_path) as (client, receiver):
            body = gzip.compress(export().SerializeToString())
            answer = await client.post(
                "/v1/logs", content=body, headers={**PROTOBUF, "Content-Encoding": "gzip"}
            )
            empty = await client.post("/v1/logs", content=b"", headers=PROTOBUF)
            wrong = await client.post("/v1/logs", content=b"\xff\xff", headers=PROTOBUF)
            other = await client.post("/v1/logs", content=b"x", headers={"Content-Type": "text/plain"})
        return answer, empty, wrong, other, receiver

    answer, empty, wrong, other, receiver = asyncio.run(talk())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert not ExportLogsServiceResponse.FromString(answer.content).HasField("partial_success")
    assert (empty.status_code, wrong.status_code, other.status_code) == (200, 400, 415)
    assert wrong.content.startswith(b"\x08\x03\x12")
    assert b"ExportLogsServiceRequest" in wrong.content
    assert lines(receiver) == LINES


def test_json_over_http(tmp_path):
    around = {"resource": LINES[0]["resource"], "scopeLogs": [
        {"scope": LINES[0]["scope"], "logRecords": [one["logRecord"] for one in LINES]},
    ]}  # fmt: skip
    body = orjson.dumps({"resourceLogs": [around]}, option=orjson.OPT_INDENT_2)

    async def talk():
        async with http(tmp_path) as (client, receiver):
            answer = await client.post("/v1/logs", content=body, headers=JSON)
            wrong = [
                await client.post("/v1/logs", content=one, headers=JSON)
                for one in (
                    b"[]",
                    b"{",
                    b'{"resourceLogs":3}',
                    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[3]}]}]}',
                )
            ]
        return answer, wrong, receiver

    answer, wrong, receiver = asyncio.run(talk())
    assert (answer.status_code, answer.json()) == (200, {})
    assert [one.status_code for one in wrong] == [400] * 4
    assert {one.json()["code"] for one in wrong} == {3}
    assert lines(receiver) == LINES


TOKENS = [{"name": "a", "token_env": "A_TOKEN", "sources": ["web_*"]}, {"name": "b", "token_env": "B_TOKEN"}]


def exported(tmp_path, metadata=(), against=None, body=None, **settings):
    """Export once; return the answer or the error's code, and what was received."""

    async def talk():
        receiver = Noting()
        receiver.against = against
        async with (
            running(build("otlp_grpc", tmp_path, **settings), receiver) as (host, port),
            grpc.aio.insecure_channel(f"{host}:{port}") as channel,
        ):
            call = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
            sent = body if body is not None else export().SerializeToString()
            try:
                return await call(sent, metadata=metadata), receiver
            except grpc.aio.AioRpcError as error:
                return error.code().name, receiver

    return asyncio.run(talk())


def test_protobuf_over_grpc(tmp_path):
    answer, receiver = exported(tmp_path)
    assert not ExportLogsServiceResponse.FromString(answer).HasField("partial_success")
    assert lines(receiver) == LINES
    assert receiver.deliveries[0].origin == "127.0.0.1"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"tokens": TOKENS}, "UNAUTHENTICATED"),
        ({"tokens": TOKENS, "metadata": [("authorization", "Bearer wrong")]}, "UNAUTHENTICATED"),
        ({"tokens": TOKENS, "metadata": [("authorization", "Bearer fake-token-a")]}, "PERMISSION_DENIED"),
        ({"against": BusyError("full", retry_after_s=3)}, "UNAVAILABLE"),
        ({"against": ServiceError("no disk")}, "UNAVAILABLE"),
        ({"body": b"\xff\xff"}, "INVALID_ARGUMENT"),
        ({"max_message_bytes": 1024, "body": bytes(2000)}, "RESOURCE_EXHAUSTED"),
    ],
)
def test_what_is_not_taken_over_grpc(tmp_path, options, code):
    answer, receiver = exported(tmp_path, **options)
    assert (answer, receiver.got) == (code, [])


def test_a_token_over_grpc(tmp_path):
    answer, receiver = exported(tmp_path, tokens=TOKENS, metadata=[("authorization", "Bearer fake-token-b")])
    assert isinstance(answer, bytes)
    assert len(lines(receiver)) == 2


def test_a_port_in_use_is_told_over_grpc(tmp_path):
    async def talk():
        async with running(build("otlp_grpc", tmp_path), Noting()) as (_, port):
            with pytest.raises(ServiceError, match="cannot listen"):
                await build("otlp_grpc", tmp_path, port=port).run(Noting(), asyncio.Event())

    asyncio.run(talk())
