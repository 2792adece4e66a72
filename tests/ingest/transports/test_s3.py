"""S3 through SQS against a server that speaks like AWS: deleted when durable, poison told and left."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.ingest.transports import Setup, get
from lemnis.ingest.transports._announced import Object, objects
from lemnis.testing.receiver import MemoryReceiver, running, until

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")
KEYS = {"ACCESS": "AKIAIOSFODNN7EXAMPLE", "SECRET": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
REGION = "eu-central-1"


class Cloud:
    """A bucket that announces its objects in a queue with a dead-letter queue."""

    def __init__(self, url: str) -> None:
        session = boto3.session.Session(KEYS["ACCESS"], KEYS["SECRET"], region_name=REGION)
        self.url = url
        self.s3, self.sqs = (session.client(name, endpoint_url=url) for name in ("s3", "sqs"))
        self.sns = session.client("sns", endpoint_url=url)
        self.dead = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        redrive = json.dumps({"deadLetterTargetArn": self.arn(self.dead), "maxReceiveCount": 2})
        self.queue = self.sqs.create_queue(QueueName="trail", Attributes={"RedrivePolicy": redrive})[
            "QueueUrl"
        ]
        place = {"LocationConstraint": REGION}
        for bucket in ("logs", "other"):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)

    def arn(self, queue: str) -> str:
        got = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return str(got["Attributes"]["QueueArn"])

    def announce(self, **to: str) -> None:
        kind, arn = next(iter(to.items()))
        wanted = {f"{kind}Configurations": [{f"{kind}Arn": arn, "Events": ["s3:ObjectCreated:*"]}]}
        self.s3.put_bucket_notification_configuration(Bucket="logs", NotificationConfiguration=wanted)

    def put(self, key: str, data: bytes, bucket: str = "logs") -> None:
        self.s3.put_object(Bucket=bucket, Key=key, Body=data)

    def say(self, message: Any) -> None:
        body = message if isinstance(message, str) else json.dumps(message)
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def left(self, queue: str = "") -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = self.sqs.get_queue_attributes(QueueUrl=queue or self.queue, AttributeNames=names)
        return sum(map(int, got["Attributes"].values()))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    served = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    yield f"http://{host}:{port}"
    served.stop()


@pytest.fixture
def cloud(server: str) -> Cloud:
    httpx.post(f"{server}/moto-api/reset", trust_env=False)
    return Cloud(server)


def transport(cloud: Cloud, **more: Any) -> Any:
    kind = get("s3")
    given_ = {
        "queue": cloud.queue, "endpoint": cloud.url, "region": REGION, "access_key_env": "ACCESS",
        "secret_key_env": "SECRET", "wait_s": 0, "visibility_s": 2,
    }  # fmt: skip
    made = kind.Settings.model_validate(given_ | more)
    return kind.build("trail", made, Setup(Path("/"), KEYS, SystemClock()))


def trail(count: int) -> bytes:
    return json.dumps(
        {"Records": [{"eventVersion": "1.08", "eventID": str(n)} for n in range(count)]}
    ).encode()


def test_objects_of_every_packing_arrive_with_their_source(cloud: Cloud) -> None:
    lines = b"".join(b"line %d\n" % n for n in range(3000))

    async def story() -> None:
        receiver = MemoryReceiver(busy=1, failing=1)
        cloud.announce(Queue=cloud.arn(cloud.queue))
        cloud.put("AWSLogs/1/CloudTrail/eu/a b+\u00e9.json.gz", gzip.compress(trail(50)))
        cloud.put("AWSLogs/1/CloudTrail-Digest/x.json.gz", gzip.compress(b"{}"))
        cloud.put("plain/1.log", lines)
        cloud.put("packed/1.log.zst", zstandard.compress(lines))
        cloud.put("folder/", b"")
        rules = [
            {"key": "AWSLogs/*/CloudTrail/*", "source": "aws_cloudtrail"},
            {"key": "plain/*", "source": "p"},
        ]
        async with running(transport(cloud, objects=rules), receiver):
            await until(lambda: len(receiver.taken) == 3 and cloud.left() == 0)
        found = {one.origin: one for one in receiver.taken}
        assert found["s3://logs/AWSLogs/1/CloudTrail/eu/a b+\u00e9.json.gz"].data == trail(50)
        assert found["s3://logs/AWSLogs/1/CloudTrail/eu/a b+\u00e9.json.gz"].source == "aws_cloudtrail"
        assert (found["s3://logs/plain/1.log"].data, found["s3://logs/plain/1.log"].source) == (lines, "p")
        assert (found["s3://logs/packed/1.log.zst"].data, found["s3://logs/packed/1.log.zst"].source) == (
            lines,
            "auto",
        )
        assert not receiver.refused

    asyncio.run(story())


def test_announcements_through_sns_arrive(cloud: Cloud) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        topic = cloud.sns.create_topic(Name="trail")["TopicArn"]
        cloud.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=cloud.arn(cloud.queue))
        cloud.announce(Topic=topic)
        cloud.put("a.log", b"one\n")
        async with running(transport(cloud), receiver):
            await until(lambda: receiver.lines() and cloud.left() == 0)
        assert receiver.lines() == [b"one"]
        assert [one.origin for one in receiver.taken] == ["s3://logs/a.log"]

    asyncio.run(story())


def test_a_message_stays_until_its_object_is_durable(cloud: Cloud) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        receiver.gate.clear()
        cloud.announce(Queue=cloud.arn(cloud.queue))
        cloud.put("a.log", b"one\n")
        first = transport(cloud)
        stop = asyncio.Event()
        work = asyncio.create_task(first.run(receiver, stop))
        await until(lambda: receiver.waiting)
        assert cloud.left() == 1
        work.cancel()  # as if killed
        with pytest.raises(asyncio.CancelledError):
            await work
        receiver.gate.set()
        async with running(transport(cloud), receiver):
            await until(lambda: receiver.lines() and cloud.left() == 0)
        assert receiver.lines() == [b"one"]

    asyncio.run(story())


def test_poison_is_told_once_and_goes_to_the_dead_letter_queue_while_others_pass(cloud: Cloud) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        detail = {"bucket": {"name": "logs"}, "object": {"key": "gone.log"}}
        cloud.put("cut.gz", gzip.compress(b"".join(b"row %d\n" % n for n in range(9000)))[:-2000])
        cloud.put("large.log", b"x" * 2000, bucket="other")
        cloud.say("no json {")
        cloud.say({"a": 1})
        cloud.say({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
        cloud.say({"s3Bucket": "logs", "s3ObjectKey": ["cut.gz"]})
        cloud.say({"s3Bucket": "other", "s3ObjectKey": ["large.log"]})
        cloud.put("good.log", b"good\n")
        cloud.say({"s3Bucket": "logs", "s3ObjectKey": ["good.log"]})
        cloud.say({"Service": "Amazon S3", "Event": "s3:TestEvent"})
        made = transport(cloud, max_object_bytes=100_000, buckets=["logs"])
        async with running(made, receiver):
            await until(lambda: cloud.left() == 0 and cloud.left(cloud.dead) == 5)
        assert sorted(one.refused.partition(":")[0] for one in receiver.refused) == [
            "the bucket is none of `buckets`",
            "the compressed file is damaged",
            "the message announces no object",
            "the message is no JSON",
            "the object cannot be read",
        ]
        assert made.poisoned == 5
        assert receiver.lines(origin="s3://logs/good.log") == [b"good"]
        assert receiver.lines(origin="s3://logs/cut.gz")[:2] == [b"row 0", b"row 1"]

    asyncio.run(story())


def test_a_bomb_is_no_object(cloud: Cloud) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        cloud.put("bomb.gz", gzip.compress(b"\0" * 140_000_000, 1))
        cloud.say({"s3Bucket": "logs", "s3ObjectKey": ["bomb.gz"]})
        async with running(transport(cloud), receiver):
            await until(lambda: receiver.refused)
        assert "a document or a line of more than" in receiver.refused[0].refused

    asyncio.run(story())


def test_a_queue_that_is_not_there_is_said(cloud: Cloud) -> None:
    made = transport(cloud, queue=cloud.queue + "-not")
    with pytest.raises(ServiceError, match="the queue cannot be read"):
        asyncio.run(made.run(MemoryReceiver(), asyncio.Event()))


def test_settings_that_cannot_be_are_refused(cloud: Cloud) -> None:
    with pytest.raises(ValueError, match="only https"):
        transport(cloud, endpoint="http://192.0.2.1")
    with pytest.raises(UsageError, match="NOT_SET is not set"):
        transport(cloud, access_key_env="NOT_SET")


RECORD = {
    "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "b"}, "object": {"key": "a+b%C3%A9%2B.gz", "size": 7}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ({"Records": [RECORD]}, [Object("b", "a b\u00e9+.gz", 7)]),
        ({"Records": [RECORD | {"eventName": "ObjectRemoved:Delete"}]}, []),
        ({"Type": "Notification", "Message": json.dumps({"Records": [RECORD]})}, [Object("b", "a b\u00e9+.gz", 7)]),
        ({"s3Bucket": "b", "s3ObjectKey": ["x", "y"]}, [Object("b", "x"), Object("b", "y")]),
        (
            {"source": "aws.s3", "detail-type": "Object Created",
             "detail": {"bucket": {"name": "b"}, "object": {"key": "a+b%20", "size": 1}}},
            [Object("b", "a+b%20", 1)],
        ),
        ({"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}}, []),
    ],
)  # fmt: skip
def test_every_shape_of_announcement_is_read(message: Any, found: list[Object]) -> None:
    assert objects(json.dumps(message)) == found


@settings(max_examples=40)
@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["Records", "s3", "bucket", "object", "key", "name", "source", "detail", "Type", "Message"]), inner)))  # fmt: skip
def test_any_message_names_whole_objects_or_is_refused(message: Any) -> None:
    with contextlib.suppress(ValueError):
        assert all(one.bucket and one.key for one in objects(json.dumps(message)))
