"""Audit lines to events: grouping, decoding, parents."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.ingest.parsers import Start, audit
from lemnis.ingest.parsers._audit import read

HEAD = "node=web1 type={} msg=audit(1700000000.{:03}:{}): "


def line(kind, serial, body, ms=0):
    return HEAD.format(kind, ms, serial) + body + "\n"


def started(serial, pid, parent, exe, arguments, *, ms=0):
    words = " ".join(f"a{number}={word}" for number, word in enumerate(arguments))
    return (
        line("SYSCALL", serial, f'arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=56 items=2 ppid={parent} pid={pid} '
             f'auid=4294967295 uid=33 gid=33 euid=33 tty=(none) ses=4294967295 comm="x" exe="{exe}" key="exec"', ms)
        + line("EXECVE", serial, f"argc={len(arguments)} {words}", ms)
        + line("CWD", serial, 'cwd="/srv"', ms)
        + line("PATH", serial, f'item=0 name="{exe}" inode=1 nametype=NORMAL', ms)
        + line("PROCTITLE", serial, "proctitle=" + hexed("x"), ms)
    )  # fmt: skip


def hexed(text):
    return text.encode().hex().upper()


def test_a_process_has_its_command_line_and_its_parent(parse):
    text = started(1, 100, 1, "/usr/bin/dash", ['"/bin/sh"', '"-c"', hexed("id; uname -a")]) + started(
        2, 101, 100, "/usr/bin/id", ['"id"'], ms=5
    )
    (shell, child), rejects = parse("audit", text)
    assert rejects == []
    assert shell["CommandLine"] == "/bin/sh -c 'id; uname -a'"
    assert shell["a2"] == ["id; uname -a"] or shell["a2"] == "id; uname -a"
    assert shell["type"] == ["SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"]
    assert (child["Image"], child["CommandLine"]) == ("/usr/bin/id", "id")
    assert (child["ParentImage"], child["ParentCommandLine"]) == (
        "/usr/bin/dash",
        "/bin/sh -c 'id; uname -a'",
    )
    assert (child["ProcessId"], child["ParentProcessId"], child["node"]) == ("101", "100", "web1")
    assert child["CurrentDirectory"] == "/srv"
    assert child["SYSCALL"] == "execve"


def test_interleaved_events_are_taken_apart(parse):
    one, two = started(1, 100, 1, "/bin/a", ['"a"']), started(2, 200, 1, "/bin/b", ['"b"'])
    mixed = "".join(x + y for x, y in zip(one.splitlines(True), two.splitlines(True), strict=True))
    records, rejects = parse("audit", mixed)
    assert rejects == []
    assert [record["Image"] for record in records] == ["/bin/a", "/bin/b"]


def test_a_connection_is_decoded(parse):
    body = ('arch=c000003e syscall=42 success=no exit=-115 a0=3 ppid=1 pid=7 auid=1000 uid=1000 euid=1000 ses=3 '
            'comm="curl" exe="/usr/bin/curl" key="net"')  # fmt: skip
    for saddr, address in (
        ("02000050A9FEA9FE0000000000000000", ("169.254.169.254", "80")),
        ("0A0001BB0000000020010DB800000000000000000000000100000000", ("2001:db8::1", "443")),
        ("0A0001BB0000000000000000000000000000FFFFC633640700000000", ("198.51.100.7", "443")),
    ):
        (record,), _ = parse("audit", line("SYSCALL", 9, body) + line("SOCKADDR", 9, f"saddr={saddr}"))
        assert (record["DestinationIp"], record["DestinationPort"]) == address
    (record,), _ = parse(
        "audit", line("SYSCALL", 9, body) + line("SOCKADDR", 9, "saddr=0100" + hexed("/run/x.sock") + "00")
    )
    assert record["saddr_path"] == "/run/x.sock"
    assert "DestinationIp" not in record


def test_user_messages_enriched_names_and_hex(parse):
    text = (
        "type=USER_LOGIN msg=audit(1492896301.818:19955): pid=12635 uid=0 auid=4294967295 ses=4294967295 "
        'msg=\'op=login acct=28696E76616C6964207573657229 exe="/usr/sbin/sshd" hostname=? addr=179.38.151.221 '
        'terminal=sshd res=failed\'\x1dUID="root" AUID="unset"\n'
    )
    (record,), _ = parse("audit", text)
    assert record["acct"] == "(invalid user)"
    assert (record["addr"], record["res"], record["User"]) == ("179.38.151.221", "failed", "root")
    assert "hostname" not in record


def test_arguments_in_pieces_are_put_together():
    record = read('type=EXECVE msg=audit(1.0:1): argc=2 a0="x" a1_len=8 a1[0]=6162 a1[1]=6364')
    assert record.arguments == ("x", "abcd")


def test_what_is_no_audit_record_is_rejected_by_its_line(parse):
    records, rejects = parse(
        "audit", "hello\n" + started(1, 5, 1, "/bin/x", ['"x"']) + "type=EXECVE msg=audit(oops\n"
    )
    assert len(records) == 1
    assert [(reject.at.record, reject.reason) for reject in rejects] == [
        (1, "not an audit record"), (7, "not an audit record"),
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(2, 6), st.integers(1, 6), st.sampled_from(["/bin/sh", "/bin/ls"])), max_size=8
    ),
    st.integers(0, 40),
)
def test_a_run_that_stopped_anywhere_gives_what_an_undisturbed_one_gives(tmp_path_factory, events, stop):
    path = tmp_path_factory.mktemp("audit") / "audit.log"
    text = "".join(started(n, pid, up, exe, [f'"{exe}"'], ms=n) for n, (pid, up, exe) in enumerate(events, 1))
    rows = text.splitlines(True)
    from lemnis.ingest.streams import Stream  # noqa: PLC0415 - the file's own

    def run(start, whole):
        return [
            (position, text, fields.get("ParentImage"))
            for parsed in audit.parse(Stream(path), {}, start, whole=whole)
            for position, text, fields in zip(
                parsed.positions.to_pylist(),
                parsed.records.to_pylist(),
                parsed.fields.to_pylist(),
                strict=True,
            )
        ]

    path.write_text("".join(rows[:stop]))
    first = run(Start(), whole=False)
    done = min(stop, len(rows))
    path.write_text(text)
    second = run(Start(position=done), whole=True)
    assert first + second == run(Start(), whole=True)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_line_breaks_the_reader(tail):
    for head in (
        "type=SYSCALL msg=audit(1.0:1): ",
        "type=EXECVE msg=audit(1.0:1): argc=1 a0=",
        "type=SOCKADDR msg=audit(1.1:2): saddr=",
    ):
        record = read(head + tail)
        assert record is not None, "a record with a header is never lost, whatever follows"
        assert record.type == head[5:].partition(" ")[0]
        assert all(isinstance(part, str) for pair in record.fields.items() for part in pair)
    assert read(tail) is None or "audit(" in tail
