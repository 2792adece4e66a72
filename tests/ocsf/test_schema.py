import pyarrow as pa
import pytest

from lemnis.contracts.errors import NotFoundError
from lemnis.ocsf.schema import arrow_schema, classes, event_class, path_type, steps, version
from lemnis.store.columns import merge_schemas
from lemnis.store.rows import CLASS_NAMES


def test_the_version_is_pinned():
    assert version() == "1.8.0"


def test_every_class_that_the_lake_names_is_there():
    assert {uid: event_class(uid).name for uid in CLASS_NAMES} == CLASS_NAMES


@pytest.mark.parametrize("name", list(classes()))
def test_every_class_has_a_schema_with_what_the_lake_needs(name):
    schema = arrow_schema(name)
    assert schema.field("time").type == pa.int64()
    assert schema.field("metadata").type.field("uid").type == pa.string()
    assert event_class(name).activity(99) == "Other"
    assert merge_schemas(schema, schema).equals(schema)


def test_paths_lead_to_types():
    assert path_type("process_activity", "process.parent_process.pid") == pa.int64()
    assert path_type("api_activity", "resources[0].uid") == pa.string()
    assert path_type("http_activity", "http_request.x_forwarded_for") == pa.list_(pa.string())
    assert [step.element for step in steps("api_activity", "resources[1].uid")] == [1, None]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("proces.pid", "did you mean process"),
        ("process.pid.x", "holds no attributes"),
        ("observables.name", r"write observables\[0\]"),
        ("process.parent_process.parent_process.parent_process.pid", "no attribute"),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error_that_helps(path, said):
    with pytest.raises(NotFoundError, match=said):
        path_type("process_activity", path)


def test_a_class_that_is_not_there_is_an_error():
    with pytest.raises(NotFoundError, match="did you mean"):
        event_class("proces_activity")
