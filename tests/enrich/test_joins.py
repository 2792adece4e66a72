"""Intervals and longest prefixes, against loops that anybody can check."""

from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.enrich.intervals import Timeline
from lemnis.enrich.prefixes import Prefixes, packed

TIMES = st.integers(-20, 20)
INTERVALS = st.lists(st.tuples(st.integers(0, 3), TIMES, TIMES), max_size=25)
ASKED = st.lists(st.tuples(st.integers(-1, 3), st.integers(-25, 25)), min_size=1, max_size=40)


def ints(values):
    return np.array(list(values), np.int64)


def timeline(intervals):
    rows = ints(range(len(intervals)))
    keys, starts, ends = (
        (ints(column) for column in zip(*intervals, strict=True)) if intervals else [rows] * 3
    )
    return Timeline.of(keys, starts, ends, rows, 4)


def slowly(intervals, key, time):
    """The one that began last of those that hold, the later told of two that began together."""
    holding = [
        (start, row)
        for row, (mine, start, end) in enumerate(intervals)
        if mine == key and start <= time < end
    ]
    return max(holding)[1] if holding else -1


@given(INTERVALS, ASKED)
def test_an_interval_join_is_what_a_loop_finds(intervals, asked):
    keys, times = (ints(column) for column in zip(*asked, strict=True))
    found = timeline(intervals).at(keys, times).tolist()
    assert found == [slowly(intervals, key, time) for key, time in asked]


def test_what_was_covered_holds_again():
    line = timeline([(0, 0, 100), (0, 10, 20)])
    assert line.at(ints([0, 0, 0, 0]), ints([5, 10, 20, 100])).tolist() == [0, 1, 0, -1]


BLOCKS = st.one_of(
    st.builds(
        lambda bits, length: ip_network((bits << 20, length), strict=False),
        st.integers(0, 7), st.integers(0, 32),
    ),
    st.builds(
        lambda bits, length: ip_network((bits << 100, length), strict=False),
        st.integers(0, 7), st.integers(0, 128),
    ),
)  # fmt: skip
ADDRESSES = st.one_of(
    st.builds(lambda bits: str(ip_address(bits << 20)), st.integers(0, 8)),
    st.builds(lambda bits: str(ip_address((1 << 127) | bits)), st.integers(0, 8)),
    st.builds(lambda bits: str(ip_address(bits << 100)), st.integers(1, 8)),
    st.sampled_from(["no address", "", "1.2.3", "fe80::1%eth0", "::ffff:0.16.0.0"]),
)


@given(
    st.lists(st.tuples(BLOCKS, TIMES, TIMES), max_size=20),
    st.lists(st.tuples(ADDRESSES, TIMES), min_size=1, max_size=20),
)
def test_the_longest_prefix_is_what_a_loop_finds(networks, asked):
    codes = {}
    keys = ints(codes.setdefault(str(network), len(codes)) for network, _, _ in networks)
    rows = ints(range(len(networks)))
    starts, ends = ints(start for _, start, _ in networks), ints(end for _, _, end in networks)
    prefixes = Prefixes.of(list(codes))
    line = Timeline.of(keys, starts, ends, rows, len(codes))
    found = prefixes.at(prefixes.of_addresses([text for text, _ in asked]), ints(t for _, t in asked), line)
    assert found.tolist() == [_longest(networks, text, time) for text, time in asked]


def _longest(networks, text, time):
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return -1
    address = getattr(address, "ipv4_mapped", None) or address
    holding = [
        (network.prefixlen, start, row)
        for row, (network, start, end) in enumerate(networks)
        if network.version == address.version and address in network and start <= time < end
    ]
    return max(holding)[2] if holding else -1


def test_an_ipv6_default_route_does_not_hold_ipv4():
    prefixes = Prefixes.of(["::/0", "0.0.0.0/0"])
    assert prefixes.of_addresses(["10.0.0.1", "2001:db8::1", "255.255.255.255"]).tolist() == [1, 0, 1]


def test_what_is_no_address_has_no_bytes():
    assert packed("10.0.0.999") == b""
    assert packed("10.0.0.1\0") == b""
    with pytest.raises(ValueError, match="does not appear"):
        Prefixes.of(["10.0.0.0/40"])


def test_many_networks_are_laid_out_and_asked():
    cidrs = [f"{10 + (n >> 18)}.{(n >> 10) & 255}.{(n >> 2) & 255}.{(n & 3) << 6}/26" for n in range(1 << 17)]
    prefixes = Prefixes.of([*cidrs, "10.0.0.0/8"])
    assert prefixes.of_addresses(["10.0.0.70", "10.127.255.255", "11.0.0.0"]).tolist() == [
        1,
        (1 << 17) - 1,
        -1,
    ]
