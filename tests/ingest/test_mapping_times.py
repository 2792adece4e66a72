import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts import compiled
from lemnis.contracts.clock import from_iso
from lemnis.ingest import mapping_times
from lemnis.ingest.mapping_times import instants

NOW = from_iso("2026-03-01T00:00:00Z")


def read(written, *texts, now=NOW):
    return instants(pa.array(texts, pa.string()), written, now).to_pylist()


@pytest.mark.parametrize(
    ("written", "text", "instant"),
    [
        ("iso", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("iso", "2026-01-02 03:04:05.678", "2026-01-02T03:04:05.678Z"),
        ("iso", "2026-01-02T03:04:05.6789123Z", "2026-01-02T03:04:05.678Z"),
        ("iso", "2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
        ("iso", "2026-01-02", "2026-01-02T00:00:00Z"),
        ("iso", "2026-01-02T03:04:05,5Z", "2026-01-02T03:04:05.5Z"),
        ("iso", "9998-01-02T03:04:05Z", "9998-01-02T03:04:05Z"),
        ("epoch_s", "1767323045", "2026-01-02T03:04:05Z"),
        ("epoch_s", "1767323045.678", "2026-01-02T03:04:05.678Z"),
        ("epoch_s", "1767323045.67800009250640869", "2026-01-02T03:04:05.678Z"),
        ("epoch_ms", "1767323045678", "2026-01-02T03:04:05.678Z"),
        ("epoch_us", "1767323045678999", "2026-01-02T03:04:05.678Z"),
        ("epoch_ns", "1767323045678999999", "2026-01-02T03:04:05.678Z"),
        ("filetime", "134117966456780000", "2026-01-02T03:04:05.678Z"),
        ("clf", "02/Jan/2026:03:04:05 +0100", "2026-01-02T02:04:05Z"),
        ("clf", "[02/Jan/2026:03:04:05 +0000]", "2026-01-02T03:04:05Z"),
        ("syslog", "Jan  2 03:04:05", "2026-01-02T03:04:05Z"),
        ("syslog", "Dec 31 23:59:59", "2025-12-31T23:59:59Z"),
        ("%d.%m.%Y %H:%M:%S", "02.01.2026 03:04:05", "2026-01-02T03:04:05Z"),
        ("%d.%m.%Y %H:%M:%S.%f", "02.01.2026 03:04:05.250", "2026-01-02T03:04:05.250Z"),
    ],
)
def test_times_are_read(written, text, instant):
    assert read(written, text) == [from_iso(instant)]


@pytest.mark.parametrize(
    "written", ["iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "filetime", "clf", "syslog", "%d.%m.%Y"]
)
@pytest.mark.parametrize("text", ["", "soon", "2026-13-45", "2026-02-30T00:00:00Z", "1e999", "\x00"])
def test_what_is_no_time_is_null_and_spoils_nothing(written, text):
    good = {"iso": "2026-01-02", "clf": "02/Jan/2026:03:04:05 +0100", "syslog": "Jan  2 03:04:05"}
    fine = good.get(written, "02.01.2026" if "%" in written else "17673230450")
    first, second, third = read(written, fine, text, None)
    assert first is not None
    assert second is None
    assert third is None


def test_ways_of_writing_may_be_mixed():
    texts = ["2026-01-02T03:04:05Z", "2026-01-02 03:04:05", "2026-01-02T04:04:05+0100", None]
    assert read("iso", *texts) == [from_iso("2026-01-02T03:04:05Z")] * 3 + [None]


@given(st.datetimes())
def test_iso_times_of_any_year_are_read_as_python_reads_them(moment):
    instant = read("iso", moment.isoformat() + "Z")[0]
    assert instant is not None
    assert abs(instant - from_iso(moment.isoformat() + "+00:00")) <= 1


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("clf", "31/Feb/2026:00:00:00 +0000"),
        ("clf", "29/Feb/2026:00:00:00 +0000"),
        ("clf", "31/Apr/2026:00:00:00 +0000"),
        ("clf", "31/Jan/2026:00:00:00 +9900"),
        ("syslog", "Feb 30 03:04:05"),
        ("syslog", "Jun 31 03:04:05"),
        ("%d.%m.%Y", "31.02.2026"),
        ("%d %b %Y", "31 Feb 2026"),
        ("%Y-%m-%d %H:%M", "2026-06-31 00:00"),
        ("epoch_s", "253402300800.000"),
        ("epoch_s", "-62135596801"),
        ("epoch_ms", "9999999999999999"),
        ("epoch_us", "-9999999999999999999"),
        ("epoch_ms", "-99999999999999999"),
    ],
)
def test_a_day_that_does_not_exist_is_no_time(written, text):
    assert read(written, text) == [None]


def test_days_at_the_end_of_months_are_times():
    assert read("clf", "28/Feb/2026:00:00:00 +1400", "29/Feb/2024:00:00:00 +0000", "31/Jan/2026:00:00:29 -0930") == [
        from_iso(text) for text in ("2026-02-27T10:00:00Z", "2024-02-29T00:00:00Z", "2026-01-31T09:30:29Z")
    ]  # fmt: skip
    assert read("%d.%m.%Y", "31.12.2025", "29.02.2024") == [from_iso("2025-12-31"), from_iso("2024-02-29")]


def test_a_leap_day_of_syslog_is_of_the_last_leap_year():
    assert read("syslog", "Feb 29 10:00:00", "Feb 28 10:00:00") == [
        from_iso("2024-02-29T10:00:00Z"),
        from_iso("2026-02-28T10:00:00Z"),
    ]


def test_the_size_of_a_number_tells_its_unit():
    texts = [
        "1772474400",
        "1772474400.25",
        "1772474400123",
        "1772474400123456",
        "1772474400123456789",
        "-5",
        "soon",
    ]
    read = instants(pa.array(texts), "epoch", 0).to_pylist()
    assert read == [1772474400000, 1772474400250, 1772474400123, 1772474400123, 1772474400123, -5000, None]


DIGITS = st.text("0123456789", min_size=1, max_size=10)
NEARLY = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["2026-01-02", "1969-12-31", "2024-02-29", "2023-02-29", "1677-01-01", "2262-12-31",
                         "2026-00-01", "2026-1-02", "20260102", "٢٠٢٦-01-02", "2000-04-31"]),
        st.sampled_from(["T", " ", "t", ""]),
        st.sampled_from(["03:04:05", "23:59:59", "24:00:00", "03:04", "03:04:60", "3:04:05", "0a:04:05", ""]),
        st.one_of(st.just(""), DIGITS.map(lambda some: f".{some}"), st.just(".")),
        st.sampled_from(["", "Z", "z", "+00:00", "-03:30", "+1400", "+15:00", "-0075", "+01", " ", "ZZ"]),
    ),
)  # fmt: skip


@pytest.mark.skipif(not compiled.available(), reason="needs the fast extra")
@given(
    st.lists(st.one_of(st.none(), NEARLY, st.text(max_size=30)), min_size=1, max_size=30), st.integers(0, 9)
)
def test_iso_times_are_read_alike_with_and_without_the_compiled_pass(texts, first):
    column = pa.array(["before"] * first + texts, pa.string()).slice(first)
    assert mapping_times._compiled(column).equals(mapping_times._iso_by_columns(column))
