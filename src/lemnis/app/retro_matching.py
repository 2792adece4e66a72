"""Many indicators against many values: one hash join a family of values, over distinct ones only. Pure.

A domain is also in the names below it. A network is compared as a range of numbers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.app.retro_columns import ADDRESSES, EMAILS, FILES, HASHES, NAMES, URLS
from lemnis.app.retro_indicators import Indicator, Kind

Numbers = npt.NDArray[np.int64]
_LABELS = 24
_V6_BITS = 128
_FAMILIES: Mapping[str, tuple[Kind, ...]] = {
    NAMES: (Kind.DOMAIN,), URLS: (Kind.URL, Kind.DOMAIN, Kind.ADDRESS, Kind.NETWORK),
    ADDRESSES: (Kind.ADDRESS, Kind.NETWORK), HASHES: (Kind.HASH,), EMAILS: (Kind.EMAIL,), FILES: (Kind.FILE,),
}  # fmt: skip
"""What can be in the values of a family: in a URL there is its host, too."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Values (by their places) in which indicators (by their numbers) are."""

    values: Numbers
    indicators: Numbers

    @classmethod
    def of(cls, some: Sequence[tuple[Numbers, Numbers]]) -> Pairs:
        """Put pairs together, each once."""
        if not some:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        both = np.stack([np.concatenate([one for one, _ in some]), np.concatenate([two for _, two in some])])
        values, indicators = np.unique(both, axis=1)
        return cls(values, indicators)


@dataclass(frozen=True, slots=True)
class _Exact:
    """Texts that are looked up whole."""

    texts: pa.Array[Any]
    numbers: Numbers

    def find(self, values: pa.Array[Any], of: Numbers) -> tuple[Numbers, Numbers]:
        """Return which of ``of``, the places of the values, hold which indicators."""
        found: Any = pc.index_in(values, value_set=self.texts)
        hit = found.is_valid().to_numpy(zero_copy_only=False)
        return of[hit], self.numbers[found.filter(pa.array(hit)).to_numpy()]


@dataclass(frozen=True, slots=True)
class _Networks:
    """Ranges of addresses, IPv4 by numbers, IPv6 by prefixes."""

    lengths: tuple[tuple[int, Numbers, Numbers], ...]
    v6: Mapping[int, Mapping[int, int]]

    def find(self, values: pa.Array[Any], of: Numbers) -> list[tuple[Numbers, Numbers]]:
        found: list[tuple[Numbers, Numbers]] = []
        if self.lengths:
            places, numbers = _v4(values)
            for bits, networks, named in self.lengths:
                if not len(places):
                    break
                heads = numbers >> (32 - bits)
                at = np.clip(np.searchsorted(networks, heads), 0, len(networks) - 1)
                hit = networks[at] == heads
                found.append((of[places[hit]], named[at[hit]]))
        if self.v6:
            found.append(self._long(values, of))
        return found

    def _long(self, values: pa.Array[Any], of: Numbers) -> tuple[Numbers, Numbers]:
        places, named = [], []
        long = pc.match_substring(values, ":").to_numpy(zero_copy_only=False)
        for place in np.flatnonzero(long).tolist():
            try:
                number = int(ipaddress.IPv6Address(str(values[place])))
            except ValueError:
                continue
            for bits, networks in self.v6.items():
                which = networks.get(number >> (_V6_BITS - bits))
                if which is not None:
                    places.append(of[place])
                    named.append(which)
        return np.array(places, np.int64), np.array(named, np.int64)


@dataclass(frozen=True)
class Index:
    """Indicators, prepared to be looked for; they are known by their numbers."""

    indicators: tuple[Indicator, ...]
    _exact: Mapping[Kind, _Exact] = field(repr=False)
    _networks: _Networks = field(repr=False)

    @classmethod
    def of(cls, indicators: Iterable[Indicator]) -> Index:
        """Prepare indicators, sorted."""
        some = tuple(sorted(set(indicators)))
        exact: dict[Kind, _Exact] = {}
        for kind in Kind:
            mine = [number for number, one in enumerate(some) if one.kind is kind]
            if mine and kind is not Kind.NETWORK:
                texts = pa.array([some[number].value for number in mine], pa.string())
                exact[kind] = _Exact(texts, np.array(mine, np.int64))
        return cls(some, exact, _networks(some))

    @cached_property
    def families(self) -> frozenset[str]:
        """Return the families of values in which there can be something."""
        kinds = {one.kind for one in self.indicators}
        return frozenset(name for name, mine in _FAMILIES.items() if kinds & set(mine))

    def find(self, family: str, values: pa.Array[Any]) -> Pairs:
        """Return which indicators are in which of distinct values of a family."""
        everything = np.arange(len(values), dtype=np.int64)
        small: Any = pc.utf8_lower(pc.utf8_trim_whitespace(values))
        found: list[tuple[Numbers, Numbers]] = []
        if family == NAMES:
            found += self._names(pc.utf8_rtrim(small, "."), everything)
        elif family == ADDRESSES:
            found += self._addresses(small, everything)
        elif family == URLS:
            plain = pc.replace_substring_regex(small, "^[a-z][a-z0-9+.-]*://", "")
            whole = pc.utf8_rtrim(pc.replace_substring_regex(plain, "#.*$", ""), "/")
            found += self._whole(Kind.URL, whole, everything)
            hosts = pc.replace_substring_regex(plain, r"^(?:[^/?#]*@)?\[?([^/?#:\]]*).*$", r"\1")
            found += self._names(pc.utf8_rtrim(hosts, "."), everything)
            found += self._addresses(hosts, everything)
        elif family == FILES:
            found += self._whole(Kind.FILE, small, everything)
            found += self._whole(Kind.FILE, pc.replace_substring_regex(small, r"^.*[/\\]", ""), everything)
        else:
            found += self._whole(Kind.HASH if family == HASHES else Kind.EMAIL, small, everything)
        return Pairs.of(found)

    def _whole(self, kind: Kind, values: pa.Array[Any], of: Numbers) -> list[tuple[Numbers, Numbers]]:
        known = self._exact.get(kind)
        return [] if known is None else [known.find(values, of)]

    def _names(self, values: Any, of: Numbers) -> list[tuple[Numbers, Numbers]]:
        """Look up names, and each name above one."""
        if Kind.DOMAIN not in self._exact:
            return []
        names, places = [values], [of]
        for _ in range(_LABELS):
            deeper = pc.match_substring_regex(values, r"\..*\.").to_numpy(zero_copy_only=False)
            if not deeper.any():
                break
            values, of = values.filter(pa.array(deeper)), of[deeper]
            values = pc.replace_substring_regex(values, r"^[^.]*\.", "")
            names.append(values)
            places.append(of)
        return [self._exact[Kind.DOMAIN].find(pa.concat_arrays(names), np.concatenate(places))]

    def _addresses(self, values: Any, of: Numbers) -> list[tuple[Numbers, Numbers]]:
        found = self._networks.find(values, of)
        long = pc.match_substring(values, ":").to_numpy(zero_copy_only=False)
        if long.any():  # the same address is written in several ways
            values = pa.array(
                [_short(text) if odd else text for text, odd in zip(values.to_pylist(), long, strict=True)],
                pa.string(),
            )
        return [*found, *self._whole(Kind.ADDRESS, values, of)]


def _short(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _v4(values: pa.Array[Any]) -> tuple[Numbers, Numbers]:
    """Return the places of IPv4 addresses among texts, and the addresses as numbers."""
    parts: Any = pc.extract_regex(values, r"^(?P<a>\d{1,3})\.(?P<b>\d{1,3})\.(?P<c>\d{1,3})\.(?P<d>\d{1,3})$")
    places = np.flatnonzero(parts.is_valid().to_numpy(zero_copy_only=False))
    some = parts.take(pa.array(places))
    numbers = np.zeros(len(places), np.int64)
    for name in ("a", "b", "c", "d"):
        numbers = numbers * 256 + pc.struct_field(some, name).cast(pa.int64()).to_numpy()
    return places.astype(np.int64), numbers


def _networks(indicators: Sequence[Indicator]) -> _Networks:
    v4: dict[int, dict[int, int]] = {}
    v6: dict[int, dict[int, int]] = {}
    for number, one in enumerate(indicators):
        if one.kind is Kind.NETWORK:
            network = ipaddress.ip_network(one.value)
            bits, most = network.prefixlen, network.max_prefixlen
            by_length = v4 if network.version == 4 else v6  # noqa: PLR2004 - the protocol's version
            by_length.setdefault(bits, {})[int(network.network_address) >> (most - bits)] = number
    lengths = tuple(
        (bits, np.array(sorted(some), np.int64), np.array([some[key] for key in sorted(some)], np.int64))
        for bits, some in sorted(v4.items())
    )
    return _Networks(lengths, v6)
