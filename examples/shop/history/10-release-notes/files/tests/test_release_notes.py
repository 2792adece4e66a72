from tools import release_notes


def test_a_note_ends_with_its_commit():
    assert release_notes.notes("abc1234 Baskets: put in\n") == "- Baskets: put in (abc1234)\n"
