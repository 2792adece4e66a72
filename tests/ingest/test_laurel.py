"""LAUREL's events have the fields that the audit log of the same events gives."""

import json

AUDIT = """\
node=web1 type=SYSCALL msg=audit(1762161301.120:901): arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 a2=55d2 a3=8 items=1 ppid=41 pid=42 auid=1000 uid=33 euid=33 tty=(none) ses=3 comm="curl" exe="/usr/bin/curl" key="exec"
node=web1 type=EXECVE msg=audit(1762161301.120:901): argc=2 a0="curl" a1="a b"
node=web1 type=CWD msg=audit(1762161301.120:901): cwd="/srv"
node=web1 type=PATH msg=audit(1762161301.120:901): item=0 name="/usr/bin/curl" inode=131 mode=0100755 nametype=NORMAL
node=web1 type=PROCTITLE msg=audit(1762161301.120:901): proctitle=6375726C00612062
"""
EVENT = {
    "ID": "1762161301.120:901", "NODE": "web1",
    "SYSCALL": {"arch": "0xc000003e", "syscall": 59, "success": "yes", "exit": 0, "items": 1, "ppid": 41, "pid": 42,
                "auid": 1000, "uid": 33, "euid": 33, "tty": "(none)", "ses": 3, "comm": "curl", "exe": "/usr/bin/curl",
                "key": "exec", "SYSCALL": "execve", "ARGV": ["0x55d0", "0x55d1", "0x55d2", "0x8"]},
    "EXECVE": {"argc": 2, "ARGV": ["curl", "a b"], "ENV": {}},
    "CWD": {"cwd": "/srv"},
    "PATH": [{"item": 0, "name": "/usr/bin/curl", "inode": 131, "mode": "0o100755", "nametype": "NORMAL"}],
    "PROCTITLE": {"ARGV": ["curl", "a b"]},
}  # fmt: skip


def test_an_event_is_read_as_from_the_audit_log(parse):
    (wanted,), _ = parse("audit", AUDIT)
    (found,), rejects = parse("laurel", json.dumps(EVENT) + "\n")
    assert rejects == []
    assert found == wanted


def test_the_parent_that_laurel_knows_is_used(parse):
    told = {"comm": "sh", "exe": "/bin/dash", "ARGV": ["sh", "-c", "x"]}
    event = {**EVENT, "SYSCALL": {**EVENT["SYSCALL"], "PPID": told}}
    (found,), _ = parse("laurel", json.dumps(event) + "\n")
    assert (found["ParentImage"], found["ParentCommandLine"]) == ("/bin/dash", "sh -c x")


def test_an_address_is_named_as_in_the_audit_log(parse):
    call = {**EVENT["SYSCALL"], "syscall": 42, "SYSCALL": "connect"}
    event = {
        "ID": EVENT["ID"],
        "SYSCALL": call,
        "SOCKADDR": {"saddr_fam": "inet6", "addr": "::1", "port": 80},
    }
    (found,), _ = parse("laurel", json.dumps(event) + "\n")
    assert (found["DestinationIp"], found["DestinationPort"], found["saddr_family"]) == ("::1", "80", "inet6")


def test_what_is_no_event_is_refused_beside_the_others(parse):
    lines = ["{", "3", "{}", '{"ID": "x:1", "CWD": {}}', '{"ID": "1.0:1", "CWD": 3}', json.dumps(EVENT)]
    records, rejects = parse("laurel", "\n".join(lines) + "\n")
    assert len(records) == 1
    assert [reject.at.record for reject in rejects] == [1, 2, 3, 4, 5]
