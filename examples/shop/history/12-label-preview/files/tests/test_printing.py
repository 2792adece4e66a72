from shop import printing


def test_lines_are_broken_at_words():
    assert printing.break_lines("Anna Smith Long Street 12", 12).split() == ["Anna", "Smith", "Long", "Street", "12"]
    assert all(len(line) <= 12 for line in printing.break_lines("Anna Smith Long Street 12", 12).splitlines())
