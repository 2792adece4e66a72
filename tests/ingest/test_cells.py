"""Events made by way of cells are those that Arrow's functions make, for whatever records of whatever source."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ingest.test_mapping_total import SOURCES, batches

from lemnis.contracts import compiled
from lemnis.ingest import mapping
from lemnis.ingest.mapping import Mapper

pytestmark = [
    pytest.mark.skipif(not compiled.available(), reason="needs Numba, the extra `fast`"),
    pytest.mark.slow,
]


@pytest.mark.parametrize("name", SOURCES.by_name)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_both_ways_make_the_same_events(name, data):
    batch = data.draw(batches(name))
    found = []
    for used in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mapping, "ready", lambda *_, used=used: used)
            found.append(Mapper(SOURCES.by_name[name]).map(batch, origin_key="log", now=1_772_474_400_000))
    new, old = found
    assert new.rejects == old.rejects
    assert [one.class_uid for one in new.batches] == [one.class_uid for one in old.batches]
    for one, other in zip(new.batches, old.batches, strict=True):
        one.table.validate(full=True)
        assert one.table.schema == other.table.schema
        assert one.table.equals(other.table)
