import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lemnis.assure import otm
from lemnis.content.schemas.threat_model import ThreatModel
from lemnis.contracts.errors import InputError

DATA = Path(__file__).parents[3] / "shared/data/threat-models/threat-dragon/threat-dragon.tar.zst"
MODEL = {
    "otmVersion": "0.2.0",
    "project": {"name": "shop", "id": "shop"},
    "trustZones": [{"id": "net", "name": "Internet", "risk": {"trustRating": 10}}],
    "components": [
        {"id": "web", "name": "Web", "type": "web-application", "parent": {"trustZone": "net"},
         "threats": [{"threat": "t1", "state": "exposed", "mitigations": [{"mitigation": "m1"}]}]},
        {"id": "db", "name": "DB", "type": "sql-database", "parent": {"component": "web"},
         "assets": {"stored": ["a1"]}},
    ],
    "dataflows": [{"id": "f", "source": "web", "destination": "db", "assets": ["a1"]}, {"source": "web"}],
    "assets": [{"id": "a1", "name": "orders"}],
    "threats": [{"id": "t1", "name": "Injection", "categories": ["Tampering", "x"],
                 "risk": {"likelihood": 80, "impact": 100}}],
    "mitigations": [{"id": "m1", "name": "Parameters"}],
}  # fmt: skip


def test_a_model_comes_over_whole():
    read = ThreatModel.model_validate(otm.read(json.dumps(MODEL).encode()))
    assert [(c.id, c.kind, c.boundary, c.data) for c in read.components] == [
        ("web", "process", "net", ()),
        ("db", "store", "net", ("orders",)),
    ]
    assert [(f.source, f.target) for f in read.flows] == [("web", "db")]
    [threat] = read.threats
    assert (threat.title, threat.stride, threat.figure, threat.mitigations) == (
        "Injection", ("tampering",), 20, ("Parameters",),
    )  # fmt: skip


def test_real_models_come_over():
    if not DATA.is_file():
        pytest.skip("shared/data/threat-models is not here")
    data = zstandard.ZstdDecompressor().stream_reader(DATA.read_bytes()).read()
    archive = tarfile.open(fileobj=io.BytesIO(data))  # noqa: SIM115 - in memory
    names = [
        name for name in archive.getnames() if name.endswith((".otm.json", "example-open-threat-model.json"))
    ]
    assert len(names) == 2
    for name in names:
        read = ThreatModel.model_validate(otm.read(archive.extractfile(name).read(), name))
        assert read.components, name


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["net", "web", "t1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "parent", "trustZone", "component", "threats", "threat", "risk", "impact", "source"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(MODEL)), VALUES))
def test_whatever_stands_there_is_read_or_refused(changes):
    try:
        read = otm.read(json.dumps({**MODEL, **changes}).encode())
    except InputError:
        return
    assert set(read) == {"name", "boundaries", "components", "flows", "threats"}
