from itertools import product

import pytest

from lemnis.scan import ssvc


def decide(*values):
    return ssvc.decide({name: (value, "told") for name, value in zip(ssvc.POINTS, values, strict=True)}).value


@pytest.mark.parametrize(
    ("values", "decision"),
    [
        (("none", "small", "no", "low"), "defer"),
        (("none", "open", "yes", "very high"), "out-of-cycle"),
        (("public poc", "controlled", "yes", "very high"), "out-of-cycle"),
        (("public poc", "open", "no", "high"), "scheduled"),
        (("active", "small", "yes", "medium"), "out-of-cycle"),
        (("active", "open", "no", "very high"), "immediate"),
        (("active", "open", "yes", "high"), "immediate"),
        (("active", "open", "no", "low"), "scheduled"),
    ],
)
def test_leaves_of_the_published_tree(values, decision):
    assert decide(*values) == decision


def test_worse_values_never_decide_for_later():
    rank = ssvc.DECISIONS.index
    points = list(ssvc.POINTS.values())
    for values in product(*points):
        for place, options in enumerate(points):
            worse = options.index(values[place]) + 1
            if worse < len(options):
                higher = (*values[:place], options[worse], *values[place + 1 :])
                assert rank(decide(*higher)) >= rank(decide(*values)), (values, higher)


def test_what_nobody_knows_is_assumed_and_said():
    made = ssvc.decide({"exploitation": ("active", "CISA KEV")})
    assert made.value == "out-of-cycle"
    assert str(made) == (
        "out-of-cycle: exploitation=active, exposure=open (assumed), automatable=yes (assumed), "
        "impact=medium (assumed)"
    )


def test_without_data_on_exploitation_there_is_no_decision():
    assert ssvc.decide({"exposure": ("open", "")}).value == ""


def test_a_value_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="'wide' is none of small"):
        ssvc.decide({"exposure": ("wide", "")})
