"""Indicators: read from what others give, and found in every place of an event where they can be."""

import csv
import io
import ipaddress
import random

import hunted
import lived
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lemnis import app
from lemnis.app import retro
from lemnis.app.retro_columns import ADDRESSES, FILES, HASHES, NAMES, URLS, Place, places, values
from lemnis.app.retro_indicators import Indicator, Kind, indicator, read
from lemnis.app.retro_matching import Index
from lemnis.app.retro_sightings import Indicators
from lemnis.app.retro_units import Range
from lemnis.contracts.errors import InputError
from lemnis.interfaces.cli import build
from lemnis.ocsf.schema import arrow_schema

MD5 = "44d88612fea8a8f36de82e1278abb02f"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Evil[.]Example", Kind.DOMAIN, "evil.example"),
        ("*.evil.example.", Kind.DOMAIN, "evil.example"),
        ("hxxps://Evil[.]example/A#b", Kind.URL, "evil.example/a"),
        ("evil.example/a/", Kind.URL, "evil.example/a"),
        ("198.51.100[.]7", Kind.ADDRESS, "198.51.100.7"),
        ("2001:DB8:0:0::1", Kind.ADDRESS, "2001:db8::1"),
        ("198.51.100.7/24", Kind.NETWORK, "198.51.100.0/24"),
        ("2001:db8::/32", Kind.NETWORK, "2001:db8::/32"),
        (MD5.upper(), Kind.HASH, MD5),
        ("mallory[at]evil.example", Kind.EMAIL, "mallory@evil.example"),
        ("Dropper.EXE", Kind.FILE, "dropper.exe"),
        (r"C:\Windows\Temp\x.dll", Kind.FILE, r"c:\windows\temp\x.dll"),
        ("file:archive.zip", Kind.FILE, "archive.zip"),
        ("domain:bücher.example", Kind.DOMAIN, "xn--bcher-kva.example"),
        ("sha256:" + "a" * 64, Kind.HASH, "a" * 64),
    ],
)
def test_a_value_is_what_it_looks_like(text, kind, value):
    assert indicator(text) == Indicator(kind, value)


@pytest.mark.parametrize(
    "text", ["", " ", "hash:xyz", "ip:999.1.1.1", "a\x00b.example", "x" * 5000, "domain:a b"]
)
def test_what_is_none_is_none(text):
    assert indicator(text) is None


@given(st.text(max_size=80))
def test_any_text_is_read_and_stays_what_it_is(text):
    one = indicator(text)
    if one is not None:
        assert indicator(str(one)) == one


def stix(pattern, **more):
    return {
        "type": "indicator",
        "id": "indicator--1",
        "name": "n",
        "pattern": pattern,
        "pattern_type": "stix",
        **more,
    }


def of(tmp_path, data, name="a.json"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else orjson.dumps(data))
    return read([path])


def test_stix_bundles(tmp_path):
    found = of(tmp_path, {"type": "bundle", "objects": [
        stix("[domain-name:value = 'evil.example' OR domain-name:value = 'worse.example']"),
        stix(f"[file:hashes.MD5 = '{MD5}'] OR [file:hashes.'SHA-256' = '{'b' * 64}']"),
        stix("[ipv4-addr:value ISSUBSET '198.51.100.0/24']"),
        stix("[url:value IN ('http://a.example/x', 'http://b.example/y')]"),
        stix("[file:name = 'it\\\\'s.exe']".replace("\\\\", "\\")),
        stix("[domain-name:value = 'old.example']", revoked=True),
        stix("[domain-name:value = 'evil.example' AND url:value = 'http://x.example/']"),
        stix("[process:command_line = 'x']"),
        stix("alert tcp any", pattern_type="snort"),
        {"type": "malware", "id": "malware--1"},
    ]})  # fmt: skip
    assert {str(one) for one in found.indicators} == {
        "domain:evil.example", "domain:worse.example", f"hash:{MD5}", f"hash:{'b' * 64}", "cidr:198.51.100.0/24",
        "url:a.example/x", "url:b.example/y", "file:it's.exe",
    }  # fmt: skip
    assert found.left_out == 1
    assert [one.at.record for one in found.problems] == [7, 8, 9]
    assert next(iter(found.indicators)).label == "n"


def attribute(kind, value, *, to_ids=True):
    return {"type": kind, "value": value, "to_ids": to_ids}


def test_misp_events(tmp_path):
    event = {
        "info": "Campaign",
        "Attribute": [
            attribute("ip-dst", "198.51.100.7"), attribute("domain", "evil.example", to_ids=False),
            attribute("filename|md5", f"x.exe|{MD5}"), attribute("yara", "rule x {}"),
        ],
        "Object": [{"Attribute": [attribute("hostname", "c2.evil.example")]}],
    }  # fmt: skip
    for document in ({"Event": event}, [{"Event": event}], {"response": [{"Event": event}]}, event):
        found = of(tmp_path, document)
        assert {str(one) for one in found.indicators} == {
            "ip:198.51.100.7", f"hash:{MD5}", "domain:c2.evil.example"
        }  # fmt: skip
        assert {one.label for one in found.indicators} == {"Campaign"}
        assert (found.left_out, len(found.problems)) == (1, 1)


def test_csv_and_lists(tmp_path):
    rows = [
        ["# made by hand"],
        ["type", "indicator", "note"],
        ["domain", "a.example", 'said "x, y"'],
        ["md5", MD5, ""],
    ]
    made = io.StringIO()
    csv.writer(made).writerows([*rows, ["ipv4", "nonsense", ""], ["domain"]])
    found = of(tmp_path, made.getvalue().encode(), "a.csv")
    assert {str(one) for one in found.indicators} == {"domain:a.example", f"hash:{MD5}"}
    assert [(one.at.line, one.what) for one in found.problems] == [
        (5, "'nonsense' is no ip"), (6, "a row without a value")
    ]  # fmt: skip
    text = f"\ufeff# a list\n\na.example  # why\n; {MD5}\n{MD5}\na.example\n"
    found = of(tmp_path, text.encode(), "a.txt")
    assert {str(one) for one in found.indicators} == {"domain:a.example", f"hash:{MD5}"}
    assert {one.label for one in found.indicators} == {"a.txt"}


@pytest.mark.parametrize("data", [b"{", b'{"type": "report"}', b"[]"])
def test_files_that_are_broken_as_a_whole(tmp_path, data):
    with pytest.raises(InputError):
        of(tmp_path, data)
    with pytest.raises(InputError, match="cannot be read"):
        read([tmp_path / "nowhere"])


NAME = st.sampled_from(["a", "b", "evil", "x-1"])
HOST = st.lists(NAME, min_size=1, max_size=5).map(lambda parts: ".".join([*parts, "example"]))


@given(st.lists(HOST, max_size=6), st.lists(HOST, min_size=1, max_size=6))
def test_domains_are_found_in_the_names_below_them(seen, known):
    index = Index.of([Indicator(Kind.DOMAIN, name) for name in known])
    pairs = index.find(NAMES, pa.array(seen, pa.string()))
    found = {
        (value, index.indicators[n].value) for value, n in zip(pairs.values, pairs.indicators, strict=True)
    }
    assert found == {
        (place, name) for place, host in enumerate(seen) for name in known if f".{host}".endswith(f".{name}")
    }


ADDRESS = st.one_of(
    st.integers(0, 255).map(lambda n: f"198.51.{n % 4}.{n}"),
    st.integers(0, 40).map(lambda n: f"2001:db8:{n}::1"),
)


@given(
    st.lists(st.one_of(ADDRESS, st.just("nobody")), max_size=8),
    st.lists(st.tuples(ADDRESS, st.integers(0, 128)), min_size=1, max_size=6),
)
def test_networks_hold_what_ipaddress_says(seen, known):
    nets = [ipaddress.ip_network(f"{a}/{min(n, 128 if ':' in a else 32)}", strict=False) for a, n in known]
    index = Index.of(one for one in (indicator(str(net)) for net in nets) if one)
    pairs = index.find(ADDRESSES, pa.array(seen, pa.string()))
    found = {
        (int(value), index.indicators[n].value)
        for value, n in zip(pairs.values, pairs.indicators, strict=True)
    }
    wanted = set()
    for place, text in enumerate(seen):
        for net in nets:
            if text != "nobody" and ipaddress.ip_address(text) in net:
                alone = net.prefixlen == net.max_prefixlen
                wanted.add((place, str(net.network_address) if alone else str(net)))
    assert {(place, name.removesuffix("/32").removesuffix("/128")) for place, name in found} == {
        (place, name.removesuffix("/32").removesuffix("/128")) for place, name in wanted
    }


def test_values_are_compared_as_they_mean():
    known = ["evil.example/a", "198.51.100.7", "dropper.exe", MD5, "evil.example"]
    index = Index.of(filter(None, map(indicator, known)))

    def found(family, *seen):
        return [index.indicators[n].value for n in index.find(family, pa.array(seen, pa.string())).indicators]

    assert set(found(URLS, "HTTP://Evil.example/a/#x")) == {"evil.example/a", "evil.example"}
    assert found(URLS, "https://u@198.51.100.7:8443/b") == ["198.51.100.7"]
    assert (
        found(FILES, r"C:\Users\x\DROPPER.exe", "/srv/dropper.exe", "dropper.exe.txt") == ["dropper.exe"] * 2
    )
    assert found(HASHES, MD5.upper(), MD5[:-1]) == [MD5]
    assert found(NAMES, "Evil.Example.", "notevil.example") == ["evil.example"]


def test_places_follow_from_the_schema():
    known = places(1007, arrow_schema(1007))
    assert {
        Place("process.file.hashes.value", HASHES), Place("process.parent_process.file.name", FILES),
        Place("device.hostname", NAMES), Place("device.ip", ADDRESSES), Place("actor.process.file.path", FILES),
    } <= set(known)  # fmt: skip
    assert Place("query.hostname", NAMES) in places(4003, arrow_schema(4003))
    assert places(987_654, arrow_schema(1007)) == ()


def test_values_within_lists_know_their_rows():
    table = pa.table({"a": [[{"b": ["x", "y"]}, {"b": None}], None, [{"b": ["z", None]}]]})
    rows, found = values(table, "a.b")
    assert (rows.tolist(), found.to_pylist()) == ([0, 0, 2], ["x", "y", "z"])


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return hunted.workspace(tmp_path_factory.mktemp("history"))


def seen(history, *texts, alerting=False, limits=Range()):  # noqa: B008 - frozen
    asked = Indicators.of(filter(None, map(indicator, texts)), app.lake(history).schemas(), alerting=alerting)
    return hunted.run(asked, history, limits)[1]


def test_a_sighting_tells_when_where_and_who(history):
    (one,) = seen(history, "198.51.100.9").found()
    sql = """SELECT count(*) AS n, min(time) AS low, max(time) AS high FROM events_of WHERE ip = '198.51.100.9'"""
    names = [n for n in app.lake(history).schemas() if n in {"authentication", "http_activity"}]
    union = " UNION ALL ".join(f"SELECT time, src_endpoint.ip AS ip FROM {name}" for name in names)
    (want,) = app.lake(history).query(sql.replace("events_of", f"({union})")).to_pylist()
    assert (one.events, one.first, one.last) == (want["n"], want["low"], want["high"])
    assert one.hosts["web1"] == one.sources["linux_syslog"] == 300
    assert one.users["priya"] == 285
    assert set(one.paths) == {"src_endpoint.ip"}
    assert one.examples == sorted(one.examples)
    assert len(one.examples) == 3


def test_what_is_seen_does_not_depend_on_how_it_is_cut(history):
    texts = ("198.51.100.0/25", "203.0.113.4", "file:sh", "192.0.2.0/30")
    whole = seen(history, *texts).found()
    assert len(whole) == 4
    half = lived.START + 3 * lived.DAY
    first, last = (seen(history, *texts, limits=one) for one in (Range(None, half), Range(half, None)))
    for number, one in last.seen.items():
        for other in [first.seen[number]] if number in first.seen else []:
            assert other.last < half <= one.first
    assert sum(one.events for one in first.found() + last.found()) == sum(one.events for one in whole)


def test_alerts_fold_by_day_and_what_they_are_about(history):
    gathered = seen(history, lived.ATTACKER, alerting=True)
    alerts = sorted(gathered.alerts.values(), key=lambda alert: alert.time)
    mine = [alert for alert in alerts if alert.event_uids and alert.time >= lived.START + lived.DAY]
    assert [(alert.time - lived.START) // lived.DAY for alert in mine] == [2, 9]
    assert {alert.rule_id for alert in alerts} == {f"indicator:ip:{lived.ATTACKER}"}
    assert {one.field for alert in alerts for one in alert.matched} == {"src_endpoint.ip"}
    assert mine[0].event["http_request"]["url"]["path"] == "/admin"
    assert seen(history, lived.ATTACKER, alerting=True).alerts == gathered.alerts


def test_only_what_is_compared_is_read(history):
    schemas = app.lake(history).schemas()
    asked = Indicators.of([Indicator(Kind.HASH, MD5)], schemas)
    planned = retro.plan(app.lake(history), asked, Range(), measured=False)
    assert not {unit.table for unit in planned.units} & {"http_activity", "authentication"}
    asked = Indicators.of([Indicator(Kind.ADDRESS, "192.0.2.1")], schemas)
    names = asked.columns("http_activity", schemas["http_activity"]).names
    assert "src_endpoint" in names
    assert not {"raw_data", "unmapped", "message"} & set(names)


def test_a_hundred_thousand_indicators_are_one_join(history):
    rng = random.Random(5)  # noqa: S311 - input, not a secret
    many = [Indicator(Kind.DOMAIN, f"{rng.randbytes(6).hex()}.example.org") for _ in range(50_000)]
    many += [Indicator(Kind.HASH, rng.randbytes(16).hex()) for _ in range(50_000)]
    asked = Indicators.of([*many, Indicator(Kind.ADDRESS, lived.ATTACKER)], app.lake(history).schemas())
    found = hunted.run(asked, history)[1].found()
    assert [one.indicator.value for one in found] == [lived.ATTACKER]


def lemnis(*arguments, code):
    answer = CliRunner().invoke(build(), [str(one) for one in arguments])
    assert answer.exit_code == code, (answer.output, answer.exception)
    return answer.stdout


def test_the_command_line(history, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{lived.ATTACKER}\nnobody.example\n")
    options = ("--yes", "-w", history.root)
    out = lemnis("intel", "retro", "--indicators", listed, "--json", *options, code=1)
    one, done = map(orjson.loads, out.splitlines())
    assert (one["indicator"], one["kind"], one["label"]) == (lived.ATTACKER, "ip", "list.txt")
    assert one["events"] == sum(one["sources"].values()) == sum(one["paths"].values())
    assert (done["hits"], done["complete"]) == (1, True)
    shown = lemnis("retro", "--indicator", lived.ATTACKER, *options, code=1)
    assert "ip:198" in shown
    assert "1 of 1 indicator seen" in shown
    assert lemnis("retro", "--indicator", "192.0.2.99", "--json", *options, code=0)
    listed.write_text(f"{lived.ATTACKER}\nhash:nonsense\n")
    assert lemnis("retro", "--indicators", listed, "--json", *options, code=2)
    lemnis("retro", "--indicator", lived.ATTACKER, "--alert", "--json", *options, code=1)
    written = {entry.payload["rule_id"] for entry in app.journal(history).entries(kind="alert")}
    assert f"indicator:ip:{lived.ATTACKER}" in written
