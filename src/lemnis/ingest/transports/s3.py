"""Objects in S3 that messages in an SQS queue announce; needs ``lemnis[aws]``.

::

    transports:
      trail:
        kind: s3
        queue: https://sqs.eu-central-1.amazonaws.com/123456789012/trail
        region: eu-central-1
        objects:
          - {key: "AWSLogs/*/CloudTrail/*", source: aws_cloudtrail}

A message is deleted when all it announces is durable. One that cannot be read, or whose object cannot, is
told once and left to the queue's redrive policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.settings import Url, Variable
from lemnis.contracts.errors import Location, ServiceError, UsageError
from lemnis.contracts.receiving import Delivery, Receiver, Transport
from lemnis.ingest.streams import KEPT_RAW, BrokenStreamError, Stream
from lemnis.ingest.transports import Setup
from lemnis.ingest.transports._announced import Object, objects
from lemnis.ingest.transports._cutting import TooLargeError, pieces
from lemnis.ingest.transports._handing import hand_over, rest
from lemnis.ingest.transports._web import loopback

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_AT_ONCE = 10
_OBJECTS = 4
"""So many objects are read at once, each with a piece or a document in memory."""
_LOST = frozenset(
    {"NoSuchKey", "NoSuchBucket", "AccessDenied", "404", "403", "InvalidObjectState", "NoSuchVersion"}
)
_log = logging.getLogger(__name__)


class Rule(Model):
    """Objects whose key fits the glob ``key`` (and whose bucket ``bucket``) are of ``source``."""

    key: str = "*"
    bucket: str = "*"
    source: str = pydantic.Field(min_length=1)


class Settings(Model):
    """The queue, where its credentials are, and what the objects are.

    Without ``access_key_env`` the credentials are those that AWS's own tools would use. ``buckets`` are the
    only ones that are read, where they are named; ``ignore`` are keys (globs) that are not. ``endpoint``
    leads to what speaks like AWS. Objects larger than ``max_object_bytes`` as stored are refused.
    """

    queue: Url
    region: str = pydantic.Field(min_length=1)
    endpoint: Url | None = None
    access_key_env: Variable = ""
    secret_key_env: Variable = ""
    session_token_env: Variable = ""
    source: str = "auto"
    objects: tuple[Rule, ...] = ()
    buckets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ("*/CloudTrail-Digest/*",)
    max_object_bytes: int = pydantic.Field(default=1 << 30, ge=1, le=1 << 34)
    wait_s: int = pydantic.Field(default=5, ge=0, le=20)
    visibility_s: int = pydantic.Field(default=120, ge=2, le=43_200)

    @pydantic.field_validator("queue", "endpoint")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        if value and urlsplit(value).scheme != "https" and not loopback(value):
            raise ValueError("only https leaves this machine")
        return value

    def source_of(self, one: Object) -> str:
        """Return the source of an object."""
        for rule in self.objects:
            if fnmatchcase(one.key, rule.key) and fnmatchcase(one.bucket, rule.bucket):
                return rule.source
        return self.source

    def ignores(self, one: Object) -> bool:
        """Say whether an object is none of ours."""
        return one.key.endswith("/") or any(fnmatchcase(one.key, glob) for glob in self.ignore)


class _PoisonError(Exception):
    """A message, or an object, that will not get better; the text says why."""


def build(name: str, settings: Settings, setup: Setup) -> Transport:
    """Return the transport; raises UsageError where boto3 is missing, or a credential."""
    try:
        import boto3  # noqa: PLC0415 - an extra
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("boto3 is not installed", fix='pip install "lemnis[aws]"') from error
    keys = {}
    if settings.access_key_env:
        keys["aws_access_key_id"] = setup.secret(env=settings.access_key_env)
        keys["aws_secret_access_key"] = setup.secret(env=settings.secret_key_env)
    if settings.session_token_env:
        keys["aws_session_token"] = setup.secret(env=settings.session_token_env)
    session = boto3.session.Session(region_name=settings.region, **keys)
    config = Config(
        retries={"mode": "standard", "max_attempts": 4}, connect_timeout=10, read_timeout=60,
        max_pool_connections=_AT_ONCE + 2,
    )  # fmt: skip
    return Announced(
        name, settings,
        session.client("sqs", endpoint_url=settings.endpoint, config=config),
        session.client("s3", endpoint_url=settings.endpoint, config=config),
    )  # fmt: skip


@dataclass(slots=True)
class Announced:
    """Reads a queue and the objects that it announces."""

    name: str
    settings: Settings
    sqs: Any
    s3: Any
    done: int = 0
    poisoned: int = 0
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_OBJECTS))

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Take messages until ``stop``; see ``Transport``."""
        await self._begin()
        pause = 1.0
        while not stop.is_set():
            try:
                messages = await asyncio.to_thread(self._receive)
                pause = 1.0
            except Exception as error:
                if not _is_aws(error):
                    raise
                _log.warning("%s: the queue cannot be read: %s", self.name, error)
                await rest(stop, pause)
                pause = min(pause * 2, 60.0)
                continue
            await asyncio.gather(*(self._message(one, receiver, stop) for one in messages))

    async def _begin(self) -> None:
        """See that the queue is there, and what it does with messages that nobody can read."""
        names = ["RedrivePolicy"]
        try:
            found = await asyncio.to_thread(
                self.sqs.get_queue_attributes, QueueUrl=self.settings.queue, AttributeNames=names
            )
        except Exception as error:
            if not _is_aws(error):
                raise
            raise ServiceError(
                f"the queue cannot be read: {error}", at=Location(self.settings.queue),
                fix="check its address, the region and the credentials",
            ) from error  # fmt: skip
        if "RedrivePolicy" not in found.get("Attributes", {}):
            _log.warning("%s: the queue has no redrive policy: what cannot be read comes for ever", self.name)

    def _receive(self) -> list[dict[str, Any]]:
        got = self.sqs.receive_message(
            QueueUrl=self.settings.queue, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=self.settings.wait_s,
            VisibilityTimeout=self.settings.visibility_s, AttributeNames=["ApproximateReceiveCount"],
        )  # fmt: skip
        found: list[dict[str, Any]] = got.get("Messages", [])
        return found

    async def _message(self, message: Mapping[str, Any], receiver: Receiver, stop: asyncio.Event) -> None:
        """Take all that a message announces and delete it; what goes wrong with it ends here."""
        handle = message["ReceiptHandle"]
        try:
            async with self._held(handle):
                durable = await self._take(message, receiver, stop)
            if durable:
                await asyncio.to_thread(
                    self.sqs.delete_message, QueueUrl=self.settings.queue, ReceiptHandle=handle
                )
                self.done += 1
        except Exception as error:
            if not _is_aws(error):
                raise
            _log.warning("%s: a message is left for later: %s", self.name, error)

    async def _take(self, message: Mapping[str, Any], receiver: Receiver, stop: asyncio.Event) -> bool:
        """Hand over what a message announces; say whether it may be deleted."""
        first = message.get("Attributes", {}).get("ApproximateReceiveCount", "1") == "1"
        good = True
        try:
            announced = objects(message["Body"])
        except ValueError as error:
            announced, good = [], False
            refused = Delivery(
                self.settings.source, self.settings.queue, message["Body"].encode()[:KEPT_RAW],
                key=message["MessageId"], refused=str(error),
            )  # fmt: skip
            await self._poison(refused, receiver, stop, first=first)
        for one in announced:
            if stop.is_set():
                return False
            if self.settings.ignores(one):
                continue
            try:
                if not await self._object(one, receiver, stop):
                    return False
            except _PoisonError as error:
                good = False
                refused = Delivery(
                    self.settings.source_of(one), f"s3://{one.bucket}/{one.key}", b"",
                    key=message["MessageId"], refused=str(error),
                )  # fmt: skip
                await self._poison(refused, receiver, stop, first=first)
        return good

    async def _poison(
        self, refused: Delivery, receiver: Receiver, stop: asyncio.Event, *, first: bool
    ) -> None:
        """Tell what cannot be read, once; the queue keeps it."""
        _log.warning("%s: %s: %s", self.name, refused.origin, refused.refused)
        if first:
            self.poisoned += 1
            await hand_over(receiver, [refused], stop=stop)

    async def _object(self, one: Object, receiver: Receiver, stop: asyncio.Event) -> bool:
        """Hand over an object piece by piece; say whether all of it is durable."""
        if self.settings.buckets and one.bucket not in self.settings.buckets:
            raise _PoisonError("the bucket is none of `buckets`")
        if one.size > self.settings.max_object_bytes:
            raise _PoisonError(self._too_large())
        async with self._room:
            return await self._copied(one, receiver, stop)

    async def _copied(self, one: Object, receiver: Receiver, stop: asyncio.Event) -> bool:
        with tempfile.NamedTemporaryFile(prefix="lemnis-") as file:
            version = await asyncio.to_thread(self._fetch, one, file)
            found = _pieces(Path(file.name))
            source, origin = self.settings.source_of(one), f"s3://{one.bucket}/{one.key}"
            while (piece := await asyncio.to_thread(next, found, None)) is not None:
                offset, data = piece
                some = [Delivery(source, origin, data, key=f"{version}@{offset}")]
                if not await hand_over(receiver, some, stop=stop):
                    return False
        return True

    def _fetch(self, one: Object, file: IO[bytes]) -> str:
        """Copy an object to a file, within the limit; return what tells its content from another."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            got = self.s3.get_object(Bucket=one.bucket, Key=one.key)
        except ClientError as error:
            if _code(error) in _LOST:
                raise _PoisonError(f"the object cannot be read: {_code(error)}") from error
            raise
        size = 0
        with contextlib.closing(got["Body"]) as body:
            for block in body.iter_chunks(1 << 20):
                size += len(block)
                if size > self.settings.max_object_bytes:
                    raise _PoisonError(self._too_large())
                file.write(block)
        file.flush()
        return str(got.get("ETag", "")).strip('"')

    def _too_large(self) -> str:
        return f"larger than the {self.settings.max_object_bytes:,} bytes that an object may have here"

    @contextlib.asynccontextmanager
    async def _held(self, handle: str) -> AsyncIterator[None]:
        """Keep a message hidden from others for as long as the block takes."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(self.settings.visibility_s / 2)
                try:
                    await asyncio.to_thread(
                        self.sqs.change_message_visibility, QueueUrl=self.settings.queue,
                        ReceiptHandle=handle, VisibilityTimeout=self.settings.visibility_s,
                    )  # fmt: skip
                except Exception as error:
                    if not _is_aws(error):
                        raise
                    _log.warning("%s: a message may come twice: %s", self.name, error)

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping


def _pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield an object's pieces, unpacked; raises _PoisonError at the place where it breaks."""
    try:
        yield from pieces(Stream(path).blocks())
    except (BrokenStreamError, TooLargeError) as error:
        raise _PoisonError(str(error)) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_aws(error: Exception) -> bool:
    """Say whether it is AWS, or the way there, that failed."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    return isinstance(error, BotoCoreError | ClientError | HTTPError | OSError)
