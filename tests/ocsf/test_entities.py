import pytest

from lemnis.ocsf.entities import entities


def about(class_uid, **event):
    return {str(one) for one in entities(class_uid, event)}


def test_a_process_start_is_about_host_process_parent_user_container_and_image():
    found = about(
        1007,
        device={"hostname": "Node-1"},
        process={
            "pid": 812,
            "user": {"name": "shop"},
            "file": {"path": "/bin/id", "hashes": [{"algorithm_id": 3, "value": "AB"}]},
            "container": {"uid": "c1", "image": {"uid": "sha256:11"}},
            "parent_process": {"pid": 811},
        },
        actor={"process": {"pid": 811}, "user": {"name": "root", "uid": "0"}},
    )
    assert found == {
        "host:node-1",
        "process:node-1/812",
        "process:node-1/811",
        "user:shop",
        "container:c1",
        "image:sha256:11",
    }


def test_a_sensors_own_process_id_is_the_process():
    found = about(1007, device={"hostname": "h"}, process={"uid": "{A-1}", "pid": 5})
    assert found == {"host:h", "process:{a-1}"}


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "::", "169.254.169.254", "fe80::1%eth0", "224.0.0.1", "-", "host"],
)
def test_addresses_that_every_machine_has_are_left_out(address):
    assert about(4001, dst_endpoint={"ip": address}) == set()


def test_an_address_is_written_one_way():
    assert about(3002, src_endpoint={"ip": "::ffff:198.51.100.7"}) == {"address:198.51.100.7"}


@pytest.mark.parametrize(
    "user",
    [
        {"name": "root"},
        {"name": "SYSTEM", "domain": "NT AUTHORITY"},
        {"name": "LOCAL SERVICE"},
        {"name": "x", "uid": "S-1-5-18"},
        {"name": "-"},
        {"name": "system:anonymous"},
        {"name": "anonymous"},
    ],
)
def test_accounts_that_every_machine_has_are_left_out(user):
    assert about(3002, user=user) == set()


def test_a_user_is_known_by_domain_and_name():
    assert about(3002, user={"name": "Kim", "domain": "CORP"}) == {"user:corp\\kim"}


@pytest.mark.parametrize("name", ["anonymous", "ANONYMOUS_PRINCIPAL"])
def test_who_calls_an_api_without_a_login_is_nobody(name):
    assert about(6003, actor={"user": {"name": name}}) == set()


def test_an_api_call_is_about_principal_credential_and_caller_address():
    found = about(
        6003,
        actor={
            "user": {"uid": "arn:aws:sts::1:assumed-role/shop/i-1", "name": "i-1", "credential_uid": "ASIA1"}
        },
        src_endpoint={"ip": "198.51.100.7"},
        dst_endpoint={"ip": "203.0.113.1"},
        resources=[{"type": "pods", "name": "web", "namespace": "shop"}],
    )
    assert found == {
        "principal:arn:aws:sts::1:assumed-role/shop/i-1",
        "credential:ASIA1",
        "address:198.51.100.7",
        "workload:shop/web",
    }


def test_only_the_far_end_of_a_connection_counts():
    ends = {
        "src_endpoint": {"ip": "10.0.0.1"},
        "dst_endpoint": {"ip": "198.51.100.7", "hostname": "c2.example"},
    }
    assert about(4001, connection_info={"direction_id": 2}, **ends) == {
        "address:198.51.100.7",
        "domain:c2.example",
    }
    assert about(4001, connection_info={"direction_id": 1}, **ends) == {"address:10.0.0.1"}


def test_a_servers_own_address_ties_nothing():
    assert about(4002, src_endpoint={"ip": "198.51.100.7"}, dst_endpoint={"ip": "10.0.0.9"}) == {
        "address:198.51.100.7"
    }


def test_hashes_of_the_systems_own_programs_are_left_out():
    def of(path):
        return about(1007, process={"file": {"path": path, "hashes": [{"algorithm_id": 1, "value": "aa"}]}})

    assert of(r"C:\Windows\System32\cmd.exe") == set()
    assert of("/usr/bin/curl") == set()
    assert of(r"C:\Users\kim\a.exe") == {"hash:aa"}


def test_the_strongest_hash_stands_for_the_file():
    hashes = [
        {"algorithm_id": 1, "value": "A1"},
        {"algorithm_id": 3, "value": "A3"},
        {"algorithm_id": 99, "value": "X"},
    ]
    assert about(1001, file={"path": "/srv/x", "hashes": hashes}) == {"file:/srv/x", "hash:a3"}


@pytest.mark.parametrize("pid", [0, 1, 4])
def test_the_first_process_ties_nothing(pid):
    assert about(1007, actor={"process": {"pid": pid}}) == set()


def test_findings_are_not_about_entities_again():
    assert about(2004, device={"hostname": "h"}) == set()


def test_what_is_not_an_object_is_passed_over():
    assert about(1007, process="x", actor=[1], device=None, resources=None) == set()
