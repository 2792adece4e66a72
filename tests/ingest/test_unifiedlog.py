"""The unified log of macOS: the program has a name, and the count at the end is no record."""


def test_entries_have_a_program_and_the_end_is_no_record(parse):
    text = '{"timestamp": "t", "processImagePath": "/usr/bin/sudo"}\n{"eventMessage": "x"}\n{"count": 2, "finished": 1}\n'
    records, rejects = parse("unifiedlog", text)
    assert rejects == []
    assert records == [
        {"timestamp": "t", "processImagePath": "/usr/bin/sudo", "process": "sudo"},
        {"eventMessage": "x"},
    ]


def test_a_list_is_read_too_and_what_says_finished_otherwise_stays(parse):
    records, _ = parse("unifiedlog", '[{"timestamp": "t", "finished": "no"},\n {"processImagePath": ""}]')
    assert records == [{"timestamp": "t", "finished": "no"}, {"processImagePath": ""}]
