import pytest

from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import EntityKind
from lemnis.contracts.errors import ContentError

TEXT = Library.open().get("correlations", "default").manifest.read_text()


def test_the_built_in_grouping_is_read():
    grouping = yaml.load(TEXT, Grouping)
    (tie,) = grouping.ties[EntityKind.ADDRESS]
    assert (tie.within, tie.weight, tie.at_least, tie.one_from) == (3_600_000, 100, "unknown", "unknown")
    assert grouping.risk.severity["high"] >= grouping.risk.open_at > grouping.risk.severity["medium"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("within: 15m", "within: 15", "needs its unit"),
        ("within: 15m", "within: 15 minutes", "write 90s, 15m, 4h or 7d"),
        ("within: 15m", "within: 400d", "less than or equal"),
        ("169.254.0.0/16", "169.254.0.0/33", "169.254.0.0/33"),
        ("from: medium", "from: middling", "Input should be"),
        ("  process: [", "  processes: [", "Input should be"),
        ("low: 10, ", "", "nothing is said of low"),
        ("open_at: 60", "open_at: 0", "greater than or equal"),
        ("title: How", "titel: How", "title: Field required"),
    ],
)
def test_a_mistake_is_shown_where_it_is(old, new, says):
    assert old in TEXT
    with pytest.raises(ContentError, match=says) as caught:
        yaml.load(TEXT.replace(old, new, 1), Grouping, file="grouping.yaml")
    assert caught.value.at.file == "grouping.yaml"
    assert caught.value.at.line
