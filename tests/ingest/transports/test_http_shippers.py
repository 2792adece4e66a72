"""Shippers as they are installed send over HTTP: every line arrives once, though the first tries are refused."""

import asyncio
import contextlib
import json
import shutil
import signal
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import orjson
import pytest
from listening import ENVIRONMENT, build

from lemnis.testing.certificates import Authority
from lemnis.testing.receiver import MemoryReceiver, running, until

COUNT = 1500
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TOKENS = [{"name": "shipper", "token_env": "A_TOKEN"}]
TOKEN = ENVIRONMENT["A_TOKEN"]


def program(name):
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def module(pattern, name):
    if not any(Path("/usr/lib").glob(pattern)):
        pytest.skip(f"{name} is not installed")


def spool(folder):
    texts = [f'line {n:05d} says "\u00e9t\u00e9" {"x" * (n % 900)}' for n in range(COUNT)]
    file = folder / "app.log"
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return file, texts


@contextlib.asynccontextmanager
async def daemon(*argv):
    work = await asyncio.create_subprocess_exec(
        *map(str, argv), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield
    except TimeoutError:
        if work.returncode is not None:
            pytest.fail(f"it ended by itself: {(await work.stderr.read()).decode()}")
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            work.send_signal(signal.SIGKILL)
        await work.communicate()


def shipped(root, make, *, source, count=COUNT, refusing=True, **settings):
    """Run a shipper that ``make`` returns for a port, until so many records of a source have come.

    With ``refusing`` the first three requests are told to come again.
    """

    async def story():
        receiver = MemoryReceiver(busy=2, failing=1) if refusing else MemoryReceiver()
        transport = build("http", root, tokens=TOKENS, **settings)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            async with daemon(*make(transport.address[1])):
                await until(lambda: len(receiver.lines(source=source)) >= count, seconds=60)
        return receiver

    return asyncio.run(story())


RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="16k")
module(load="imfile")
module(load="omelasticsearch")
template(name="doc" type="list" option.jsonf="on") {{
  property(outname="message" name="msg" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
}}
input(type="imfile" File="{file}" Tag="probe" ruleset="ship")
ruleset(name="ship") {{
  action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" template="doc" searchIndex="logs-app"
         uid="any" pwd="{token}" bulkmode="on" retryfailures="on" retryruleset="ship" queue.type="LinkedList"
         queue.dequeueBatchSize="200" action.resumeRetryCount="-1" action.resumeInterval="1")
}}
"""


def test_rsyslog_writes_to_what_it_takes_for_elasticsearch(tmp_path):
    rsyslogd = program("rsyslogd")
    module("**/rsyslog/omelasticsearch.so", "rsyslog-elasticsearch")
    file, texts = spool(tmp_path)

    def make(port):
        config = tmp_path / "rsyslog.conf"
        config.write_text(RSYSLOG.format(folder=tmp_path, file=file, port=port, token=TOKEN))
        return rsyslogd, "-n", "-f", config, "-i", tmp_path / "pid"

    elastic = {"indices": [{"match": "logs-*", "source": "linux_syslog", "field": "message"}]}
    # it drops a bulk that is refused as a whole, whatever the status: docs/receiving.md says so
    receiver = shipped(tmp_path, make, source="linux_syslog", refusing=False, elastic=elastic)
    assert sorted(line.decode() for line in receiver.lines()) == sorted(texts)


SYSLOG_NG = """@version: 3.35
options {{ stats-freq(0); time-reopen(1); }};
source app {{ file("{file}" flags(no-parse) follow-freq(1)); }};
destination out {{ http(url("http://127.0.0.1:{port}{path}") method("POST")
  headers({headers}) body("{body}") delimiter("{delimiter}") batch-lines(100) batch-timeout(200)
  workers(1) retries(100)); }};
log {{ source(app); destination(out); }};
"""


@pytest.mark.parametrize("dialect", ["ndjson", "hec"])
def test_syslog_ng_posts_lines_and_splunk_events(tmp_path, dialect):
    syslog_ng = program("syslog-ng")
    module("syslog-ng/*/libhttp.so", "syslog-ng-mod-http")
    file, texts = spool(tmp_path)
    given = {
        "ndjson": {"path": "/ingest/linux_syslog", "headers": f'"Authorization: Bearer {TOKEN}"', "body": "$MSG",
                   "delimiter": "\\n"},
        "hec": {"path": "/services/collector/event", "headers": f'"Authorization: Splunk {TOKEN}"',
                "body": "$(format-json event=$MSG sourcetype=linux)", "delimiter": ""},
    }[dialect]  # fmt: skip

    def make(port):
        config = tmp_path / "syslog-ng.conf"
        config.write_text(SYSLOG_NG.format(file=file, port=port, **given))
        state = [
            "--persist-file",
            tmp_path / "persist",
            "--pidfile",
            tmp_path / "pid",
            "--control",
            tmp_path / "ctl",
        ]
        return syslog_ng, "-F", "--no-caps", "-f", config, *state

    hec = {"sourcetypes": [{"match": "linux", "source": "linux_syslog"}]}
    receiver = shipped(tmp_path, make, source="linux_syslog", hec=hec)
    assert [line.decode() for line in receiver.lines()] == texts


def test_curl_posts_over_tls(tmp_path):
    curl = program("curl")
    authority = Authority(tmp_path)
    server = authority.issue("server")
    tls = {"certificate": str(server.certificate), "key": str(server.key)}

    async def story():
        receiver = MemoryReceiver()
        transport = build("http", tmp_path, tokens=TOKENS, tls=tls)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            port = transport.address[1]
            posting = await asyncio.create_subprocess_exec(
                curl, "-sS", "--cacert", str(authority.certificate), "--resolve", f"server:{port}:127.0.0.1",
                "-H", f"Authorization: Splunk {TOKEN}", "-d", '{"event":"by hand"}{"event":{"n":1}}',
                f"https://server:{port}/services/collector",
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            out, err = await posting.communicate()
            context = ssl.create_default_context()
            async with httpx.AsyncClient(verify=context) as stranger:
                with pytest.raises(httpx.ConnectError):
                    await stranger.post(f"https://127.0.0.1:{port}/ingest/a", content=b"x")
        return out, err, receiver

    out, err, receiver = asyncio.run(story())
    assert json.loads(out or b"null") == {"text": "Success", "code": 0}, err
    assert receiver.lines() == [b"by hand", b'{"n":1}']


EXPORTER = """
    import logging, sys
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource

    kind, place, token, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    headers = {"authorization": f"Bearer {token}"}
    if kind == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        exporter = OTLPLogExporter(endpoint=place, insecure=True, headers=headers)
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http import Compression
        exporter = OTLPLogExporter(f"http://{place}/v1/logs", headers=headers, compression=Compression.Gzip)
    provider = LoggerProvider(resource=Resource.create({"service.name": "probe"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_export_batch_size=200))
    logger = logging.getLogger("probe")
    logger.propagate = False
    logger.addHandler(LoggingHandler(logger_provider=provider))
    for number in range(count):
        logger.warning("line %05d", number, extra={"number": number})
    provider.shutdown()
"""


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_opentelemetrys_exporters_export(tmp_path, kind):
    pytest.importorskip("opentelemetry.sdk._logs", reason="opentelemetry-sdk is not installed")
    pytest.importorskip(f"opentelemetry.exporter.otlp.proto.{kind}", reason=f"its exporter for {kind} is not")

    async def story():
        receiver = MemoryReceiver(busy=1)
        transport = build("http" if kind == "http" else "otlp_grpc", tmp_path, tokens=TOKENS)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            place = f"127.0.0.1:{transport.address[1]}"
            argv = [sys.executable, "-c", textwrap.dedent(EXPORTER), kind, place, TOKEN, "1000"]
            async with daemon(*argv):
                await until(lambda: len(receiver.lines()) >= 1000, seconds=60)
        return [orjson.loads(line) for line in receiver.lines()]

    records = asyncio.run(story())
    assert [one["logRecord"]["body"]["stringValue"] for one in records] == [
        f"line {n:05d}" for n in range(1000)
    ]
    assert {"key": "service.name", "value": {"stringValue": "probe"}} in records[0]["resource"]["attributes"]
