"""Logs of others through the sources: how much is mapped, and what others' parsers say of the same lines."""

import collections
import io
import json
import re
import tarfile

import pytest
import zstandard

from lemnis.app.sources import normalise
from lemnis.content.library import Library
from lemnis.ingest import parsers
from lemnis.ingest.parsers import Start
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream, walk

ASSERT = re.compile(
    r'^results\["s01-parse"\]\["([^"]+)"\]\[(\d+)\]\.Evt\.(Parsed|Meta)\["([^"]+)"\] == (".*")$'
)
WEB = {
    "remote_addr": "c-ip", "verb": "cs-method", "request": "c-uri", "status": "sc-status",
    "body_bytes_sent": "sc-bytes", "http_user_agent": "cs-user-agent", "http_referer": "cs-referer",
    "remote_user": "cs-username", "time_local": "time",
}  # fmt: skip


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    from pathlib import Path  # noqa: PLC0415 - as the skip below

    shared = Path(__file__).parents[2] / "../shared/data"
    if not shared.is_dir():
        pytest.skip("the shared data sets are not beside this checkout")
    made = {}

    def get(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("data")
            for path in sorted((shared / name).glob("*.tar.zst")):
                with path.open("rb") as file:
                    data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()
                with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                    archive.extractall(made[name], filter="data")
        return made[name]

    return get


# Files of the sets that are on purpose no reports: refused whole, there are no records in them to be mapped.
_NO_REPORT = ("a SARIF 2.0.0 report", "not a SARIF report", "not JSON")


@pytest.fixture(scope="module")
def sources():
    return Sources.load(Library.open())


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        ("aws_cloudtrail", "cloud/stratus-red-team", 100), ("aws_cloudtrail", "cloud/invictus-aws", 100),
        ("sarif", "devsecops/sarif-sdk", 100), ("sarif", "devsecops/sarif-tutorials", 100),
        ("linux_audit", "linux/go-libaudit", 100), ("web_combined", "linux/crowdsec-hub-tests", 99),
        ("kubernetes_audit", "linux/crowdsec-hub-tests", 100), ("linux_syslog", "linux/crowdsec-hub-tests", 99),
    ],
)  # fmt: skip
def test_real_records_are_mapped(unpacked, sources, capsys, case):
    name, data, least = case
    events, rejects = 0, []
    for file in walk([unpacked(data)]):
        found = sources.recognise(Stream(file))
        if found is None or found.name != name:
            continue
        good, bad = normalise(found, file)
        events += len(good)
        rejects += [one for one in bad if not (name == "sarif" and one.reason.startswith(_NO_REPORT))]
    percent = 100 * events / (events + len(rejects))
    with capsys.disabled():
        print(f" {name} on {data}: {percent:.1f} % of {events + len(rejects)}")  # noqa: T201 - the score is the point
    assert percent >= least, rejects[:3]


def asserted(folder, names):
    """What crowdsec's tests say of each line: message → field → value."""
    events = collections.defaultdict(dict)
    for line in (folder / "parser.assert").read_text(errors="replace").splitlines():
        match = ASSERT.match(line)
        if match and match[1] in names:
            events[match[1], match[2]][match[3], match[4]] = json.loads(match[5])
    return [event for event in events.values() if ("Parsed", "message") in event]


def test_crowdsec_agrees_on_access_logs(unpacked, capsys):
    good, wrong = 0, []
    for file in sorted(unpacked("linux/crowdsec-hub-tests").glob("*/parser.assert")):
        events = asserted(file.parent, {"crowdsecurity/nginx-logs", "crowdsecurity/apache2-logs"})
        rows = {}
        for log in file.parent.glob("*.log") if events else ():
            for parsed in parsers.get("access").parse(Stream(log), {}, Start(), whole=True):
                rows |= dict(zip(parsed.records.to_pylist(), parsed.fields.to_pylist(), strict=True))
        for event in events:
            row = rows.get(event["Parsed", "message"])
            if row is None or ("Parsed", "status") not in event:
                continue  # carried in another format, or an error log
            for theirs, ours in WEB.items():
                want = event.get(("Parsed", theirs))
                have = row.get(ours) or (row.get("request") if ours == "c-uri" else None)
                if want is None or "\\x" in want:
                    continue
                if have == want or (have is None and want in {"-", ""}):
                    good += 1
                else:
                    wrong.append((theirs, have, want))
    with capsys.disabled():
        print(f" crowdsec access logs: {good / (good + len(wrong)):.1%} of {good + len(wrong)} fields")  # noqa: T201
    assert good > 200
    assert good / (good + len(wrong)) >= 0.98, wrong


def test_crowdsec_agrees_on_sshd(unpacked, sources, capsys):
    good, wrong = 0, []
    for file in sorted(unpacked("linux/crowdsec-hub-tests").glob("*/parser.assert")):
        events = asserted(file.parent, {"crowdsecurity/sshd-logs"})
        rows = {}
        for log in file.parent.glob("*.log") if events else ():
            found, _ = normalise(sources.get("linux_syslog"), log)
            rows |= {event["message"].strip(): event for event in found if "message" in event}
        for event in events:
            row = rows.get(event["Parsed", "message"].strip(), {})
            user = row.get("user", {}).get("name") or row.get("actor", {}).get("user", {}).get("name")
            for theirs, have in (("source_ip", row.get("src_endpoint", {}).get("ip")), ("target_user", user)):
                want = event.get(("Meta", theirs))
                if want is not None and have == want:
                    good += 1
                elif want is not None:
                    wrong.append((theirs, have, want))
    with capsys.disabled():
        print(f" crowdsec sshd: {good / (good + len(wrong)):.1%} of {good + len(wrong)} fields")  # noqa: T201
    assert good > 50
    assert good / (good + len(wrong)) >= 0.95, wrong
