"""Small sources for tests: written to a folder, read back."""

import orjson
import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.events import RawBatch

SOURCE = """
name: acme
title: Acme
vendor: Acme
product: Proxy
parser: jsonl
"""


def source(folder, mapping, extra=""):
    place = folder / "acme"
    place.mkdir(exist_ok=True)
    (place / "source.yaml").write_text(SOURCE + extra)
    (place / "mapping.yaml").write_text(mapping)
    return LoadedSource.read(place)


def batch(*records, origin="log", first=1, types=None):
    names = list(dict.fromkeys(name for record in records for name in record))
    kinds = types or {}
    table = pa.table({name: pa.array([one.get(name) for one in records], kinds.get(name)) for name in names})
    texts = pa.array([orjson.dumps(one).decode() for one in records], pa.string())
    numbers = pa.array(range(first, first + len(records)), pa.int64())
    return RawBatch("acme", origin, texts, table, numbers)


def events(mapped):
    return [lean(event) for one in mapped.batches for event in one.table.to_pylist()]


def lean(value):
    if isinstance(value, dict):
        return {key: lean(item) for key, item in value.items() if item is not None}
    return [lean(item) for item in value] if isinstance(value, list) else value
