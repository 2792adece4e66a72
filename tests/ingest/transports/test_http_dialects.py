"""HTTP as Splunk's collector and Elasticsearch speak it: what each answers and hands over."""

import asyncio
import json

import orjson
import pytest
from listening import http


def run(coroutine):
    return asyncio.run(coroutine)


# -- Splunk --------------------------------------------------------------------------------------------------


HEC = {
    "sourcetypes": [{"match": "linux*", "source": "linux_syslog"}, {"match": "app:*", "source": "application_access"},
                    {"match": "whole", "source": "web_json"}, {"match": "docker", "source": "linux_syslog", "field": "log"}],
    "envelope": ["web_json"],
}  # fmt: skip


@pytest.mark.parametrize("between", ["", "\n", " ", "\r\n\r\n"])
def test_events_one_after_another(tmp_path, between):
    sent = [
        {"time": 1.5, "host": "h", "sourcetype": "linux_secure", "event": "line one"},
        {"sourcetype": "app:x", "event": {"a": [1, {"b": "}{"}], "big": 2**70}},
        {"sourcetype": "linux_secure", "event": "two\nlines"},
        {"sourcetype": "whole", "event": {"a": 1}, "fields": {"x": "y"}, "index": "main"},
        {"sourcetype": "docker", "event": {"log": "inner\n", "stream": "stdout"}},
        {"event": "of no known kind"},
    ]
    body = between.join(json.dumps(one) for one in sent)

    async def talk():
        async with http(tmp_path, hec=HEC) as (client, receiver):
            answer = await client.post("/services/collector/event", content=body)
        return answer, dict(receiver.got)

    answer, got = run(talk())
    assert (answer.status_code, answer.json()) == (200, {"text": "Success", "code": 0})
    assert got["linux_syslog"] == b"line one\ntwo\\nlines\ninner\n"
    assert json.loads(got["application_access"]) == {"a": [1, {"b": "}{"}], "big": 2**70}
    assert orjson.loads(got["web_json"])["fields"] == {"x": "y"}
    assert got["auto"] == b"of no known kind\n"


@pytest.mark.parametrize(
    ("body", "status", "code", "number"),
    [
        (b"", 400, 5, None),
        (b"{", 400, 6, 0),
        (b'{"event":"a"}{"event":"b"}nonsense', 400, 6, 2),
        (b'{"event":"a"}\n[1]', 400, 6, 1),
        (b'{"host":"x"}', 400, 12, 0),
        (b'{"event":"a"}\n{"event":""}', 400, 13, 1),
        (b'{"event":"a","fields":3}', 400, 15, 0),
        (b"[" * 100_000, 400, 6, 0),
    ],
)
def test_what_splunk_would_say_to_wrong_events(tmp_path, body, status, code, number):
    async def talk():
        async with http(tmp_path) as (client, receiver):
            answer = await client.post("/services/collector/event", content=body)
        return answer, receiver.got

    answer, got = run(talk())
    assert (answer.status_code, answer.json()["code"], answer.json().get("invalid-event-number")) == (
        status, code, number,
    )  # fmt: skip
    assert got == []


def test_raw_lines_channels_and_acknowledgements(tmp_path):
    channel = "FE0ECFAD-13D5-401B-847D-77833BD77131"

    async def talk():
        async with http(tmp_path, hec=HEC) as (client, receiver):
            path = f"/services/collector/raw?channel={channel}&sourcetype=linux_secure"
            raws = [await client.post(path, content=b"one\ntwo\n") for _ in range(2)]
            asked = await client.post(f"/services/collector/ack?channel={channel}", json={"acks": [0, 1, 2]})
            other = await client.post("/services/collector/ack?channel=00", json={"acks": [0]})
            none = await client.post("/services/collector/ack", json={"acks": [0]})
            wrong = await client.post("/services/collector/ack?channel=00", content=b"[]")
            odd = await client.post("/services/collector/raw?channel=../x", content=b"x")
            health = await client.get("/services/collector/health")
        return raws, asked, other, none, wrong, odd, health, receiver.got

    raws, asked, other, none, wrong, odd, health, got = run(talk())
    assert [one.json() for one in raws] == [{"text": "Success", "code": 0, "ackId": n} for n in (0, 1)]
    assert asked.json() == {"acks": {"0": True, "1": True, "2": False}}
    assert other.json() == {"acks": {"0": False}}
    assert (none.json()["code"], wrong.json()["code"], odd.json()["code"]) == (10, 6, 6)
    assert (health.status_code, health.json()["code"]) == (200, 17)
    assert got == [("linux_syslog", b"one\ntwo\n")] * 2


# -- Elasticsearch -------------------------------------------------------------------------------------------


ELASTIC = {
    "indices": [{"match": "filebeat-*", "source": "linux_syslog", "field": "message"},
                {"match": "deep", "source": "linux_syslog", "field": "log.original"},
                {"match": "web*", "source": "web_json"}],
}  # fmt: skip


def test_a_bulk_is_answered_item_by_item(tmp_path):
    body = b"\n".join([
        b'{"create":{"_index":"filebeat-8"}}', b'{"message":"a line","@timestamp":"x"}',
        b'{"index":{"_index":"web-1","_id":"7"}}', b'{"url":"/"}',
        b'{"delete":{"_index":"web-1","_id":"7"}}',
        b'{"update":{"_index":"web-1","_id":"7"}}', b'{"doc":{}}',
        b'{"index":{"_index":"web-1"}}', b'{"cut":',
        b'{"index":{"_index":"web-1"}}', b"[]",
        b'{"index":{}}', b'{"no":"index"}',
        b'{"index":{"_index":"deep"}}', b'{"log":{"original":"inner"}}',
        b'{"index":{"_index":"deep"}}', b'{"log":"other"}',
    ]) + b"\n"  # fmt: skip

    async def talk():
        async with http(tmp_path, elastic=ELASTIC) as (client, receiver):
            answer = await client.post("/_bulk", content=body)
            named = await client.post("/web-2/_bulk", content=b'{"index":{}}\n{"url":"/x"}\n')
        return answer, named, receiver.got

    answer, named, got = run(talk())
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
    said = answer.json()
    statuses = [next(iter(item.values()))["status"] for item in said["items"]]
    assert said["errors"] is True
    assert statuses == [201, 201, 400, 400, 400, 400, 400, 201, 201]
    assert said["items"][1]["index"]["_id"] == "7"
    assert "no update" not in str(said)
    assert named.json()["errors"] is False
    assert got == [
        ("linux_syslog", b'a line\ninner\n{"log":"other"}\n'),
        ("web_json", b'{"url":"/"}\n'),
        ("web_json", b'{"url":"/x"}\n'),
    ]


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"nonsense\n{}\n", b'{"create":3}\n{}\n', b'{"a":{},"b":{}}\n', b"[" * 9999]
)
def test_what_is_no_bulk_is_refused(tmp_path, body):
    async def talk():
        async with http(tmp_path) as (client, receiver):
            answer = await client.post("/_bulk", content=body)
        return answer, receiver.got

    answer, got = run(talk())
    assert (answer.status_code, got) == (400, [])
    assert answer.json()["error"]["type"] == "illegal_argument_exception"


def test_shippers_that_look_before_they_send_find_what_they_want(tmp_path):
    async def talk():
        async with http(tmp_path, elastic=ELASTIC) as (client, receiver):
            answers = [
                await client.request(method, path)
                for method, path in (
                    ("HEAD", "/"), ("GET", "/"), ("GET", "/_license"), ("GET", "/_xpack"),
                    ("HEAD", "/_index_template/filebeat-8"), ("PUT", "/_index_template/filebeat-8"),
                    ("GET", "/_ilm/policy/filebeat"), ("GET", "/_cluster/health"),
                )
            ]  # fmt: skip
            document = await client.post("/web-1/_doc", content=b'{"url":"/"}')
        return answers, document, receiver.got

    answers, document, got = run(talk())
    assert {one.status_code for one in answers} == {200}
    assert {one.headers["X-Elastic-Product"] for one in answers} == {"Elasticsearch"}
    assert answers[1].json()["version"]["number"] == "8.17.0"
    assert answers[2].json()["license"]["status"] == "active"
    assert (document.status_code, document.json()["result"]) == (201, "created")
    assert got == [("web_json", b'{"url":"/"}\n')]
