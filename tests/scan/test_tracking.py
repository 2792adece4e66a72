from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding
from lemnis.scan.tracking import Known, track


def found(name, tool="t", path="a.py", context="c1"):
    return Finding(f"fp-{name}", tool, "r", "t", Severity.LOW, path, 1, 1, context=context)


def known(name, *, tool="t", path="a.py", context="c1", is_open=True):
    return Known(f"fp-{name}", tool, context, path, is_open)


def test_what_is_new_again_back_and_gone():
    said = track(
        [known("a"), known("b", context="x"), known("c", is_open=False)],
        [found("a"), found("c"), found("d")],
        {"t"},
    )
    assert (said.again, said.back, said.new, said.gone) == (("fp-a",), ("fp-c",), (2,), ("fp-b",))


def test_a_renamed_file_keeps_its_findings():
    said = track([known("a", path="old.py")], [found("b", path="new.py")], {"t"})
    assert (said.moved, said.new, said.gone) == ({0: "fp-a"}, (), ())


def test_a_copy_is_new_and_one_of_two_copies_moves_one():
    said = track([known("a", path="old.py")], [found("a", path="old.py"), found("b", path="copy.py")], {"t"})
    assert (said.moved, said.new) == ({}, (1,))
    said = track([known("a", path="old.py")], [found("b", path="x.py"), found("c", path="y.py")], {"t"})
    assert (len(said.moved), len(said.new), said.gone) == (1, 1, ())


def test_a_changed_line_in_the_same_file_is_no_move():
    said = track([known("a")], [found("b")], {"t"})
    assert (said.moved, said.new, said.gone) == ({}, (0,), ("fp-a",))


def test_of_a_tool_that_did_not_look_nothing_has_gone():
    said = track([known("a"), known("b", tool="other")], [], {"other"})
    assert said.gone == ("fp-b",)
