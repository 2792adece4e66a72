"""Sources of clouds and identity providers: rules that others wrote find their fields, in each shape of a record."""

import tarfile
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
import zstandard

from lemnis.app.rules_lint import lint_paths
from lemnis.content.library import Library
from lemnis.contracts.events import RawBatch
from lemnis.ingest.flatten import flatten
from lemnis.ingest.frames import raw_frames
from lemnis.ingest.sources import Sources

LIBRARY = Library.open()
SOURCES = Sources.load(LIBRARY)
RULES = Path(__file__).parents[2] / "../shared/data/sigma-rules/sigma-rules.tar.zst"
SIGN_IN = {"category": "SignInLogs", "operationName": "Sign-in activity", "resultType": "0"}
FAILED = {"category": "SignInLogs", "resultType": "500121", "properties": {"status": {"errorCode": 500121}}}
DENIED = {
    **FAILED,
    "properties": {"status": {"errorCode": 500121, "additionalDetails": "MFA denied; by the user"}},
}
MET = {
    **SIGN_IN,
    "properties": {"status": {"errorCode": 0, "additionalDetails": "MFA requirement satisfied"}},
}
TARGETS = [
    {
        "type": "ServicePrincipal",
        "modifiedProperties": [{"displayName": "A", "newValue": "x"}, {"displayName": "B"}],
    },
    {"type": "User", "userPrincipalName": "kim@example.com"},
]
AUDIT = {"category": "AuditLogs", "operationName": "Add user", "properties": {"targetResources": TARGETS}}
GRAPH = {"activityDisplayName": "Add user", "loggedByService": "Core Directory", "targetResources": TARGETS}
PIM = {"alertDefinitionId": "DirectoryRole_9_StaleSignInAlert"}
REST = {
    "operationName": {"value": "Microsoft.KeyVault/vaults/delete"},
    "category": {"value": "Administrative"},
}
TABLE = {"OperationNameValue": "MICROSOFT.KEYVAULT/VAULTS/DELETE", "CategoryValue": "Administrative"}
ALERT = {"Workload": "SecurityComplianceCenter", "Operation": "AlertTriggered", "Name": "Mass deletion"}
GRANTED = {
    "protoPayload": {"methodName": "v1.x", "authorizationInfo": [{"permission": "a"}, {"permission": "b"}]}
}
SETTING = {
    "name": "CHANGE",
    "parameters": [{"name": "SETTING_NAME", "value": "S"}, {"name": "NEW_VALUE", "value": "f"}],
}


def rows(name, record):
    """Return what rules see of one record: the services it belongs to, and its columns."""
    text = pa.array([orjson.dumps(record).decode()], pa.string())
    raw = RawBatch(name, "here", text, pa.table(flatten(text).columns), pa.array([1], pa.int64()))
    (frame,) = raw_frames(raw, SOURCES.get(name))
    return frame.offers.services, {key: frame.columns[key][0].as_py() for key in frame.columns}


@pytest.mark.parametrize(
    ("name", "record", "service", "field", "value"),
    [
        ("entra_id", SIGN_IN, "signinlogs", "Status", "Success"),
        ("entra_id", FAILED, "signinlogs", "Status", "Failure"),
        ("entra_id", DENIED, "signinlogs", "Status", "MFA denied; by the user"),
        ("entra_id", MET, "signinlogs", "Status", "Success"),
        ("entra_id", FAILED, "signinlogs", "ResultType", "500121"),
        ("entra_id", SIGN_IN, "signinlogs", "NetworkLocationDetails", "[]"),
        ("entra_id", AUDIT, "auditlogs", "properties.message", "Add user"),
        ("entra_id", GRAPH, "auditlogs", "OperationName", "Add user"),
        ("entra_id", AUDIT, "auditlogs", "targetResources.type", ["Service Principal", "User"]),
        ("entra_id", GRAPH, "auditlogs", "TargetResources.ModifiedProperties.DisplayName", ["A", "B"]),
        ("entra_id", GRAPH, "auditlogs", "Target", ["kim@example.com"]),
        ("entra_id", PIM, "pim", "riskEventType", "staleSignInAlertIncident"),
        ("azure_activity", REST, "activitylogs", "operationName", "Microsoft.KeyVault/vaults/delete"),
        ("azure_activity", TABLE, "activitylogs", "operationName", "MICROSOFT.KEYVAULT/VAULTS/DELETE"),
        ("azure_activity", REST, "activitylogs", "CategoryValue", "Administrative"),
        ("m365_audit", ALERT, "threat_management", "eventName", "Mass deletion"),
        ("m365_audit", ALERT, "threat_management", "status", "success"),
        ("m365_audit", {**ALERT, "ResultStatus": "Failed"}, "threat_management", "status", "failure"),
        ("m365_audit", {"Workload": "Exchange", "Operation": "Add-X"}, "exchange", "eventName", "Add-X"),
        ("gcp_audit", GRANTED, "gcp.audit", "data.protoPayload.authorizationInfo.permission", ["a", "b"]),
        ("google_workspace", {"id": {"applicationName": "admin"}, "events": [SETTING]}, "google_workspace.admin", "new_value", "f"),
        ("google_workspace", {"id": {"applicationName": "login"}, "name": "logout"}, "google_workspace.login", "eventName", "logout"),
        ("okta", {"target": [{"displayName": "a", "type": "App"}, {"displayName": "b", "type": "User"}]}, "okta", "target.user.display.name", ["b"]),
        ("aws_cloudtrail", {"errorCode": "AccessDenied"}, "cloudtrail", "status", "failure"),
        ("aws_cloudtrail", {"eventName": "CreateUser"}, "cloudtrail", "status", "success"),
        ("docker_events", {"Action": "exec_start: /bin/sh -c id"}, "events", "CommandLine", "/bin/sh -c id"),
        ("aws_waf", {"httpRequest": {"headers": [{"name": "user-agent", "value": "curl"}]}}, "waf", "c-useragent", ["curl"]),
    ],
)  # fmt: skip
def test_rules_see_a_record_under_the_names_that_they_use(name, record, service, field, value):
    services, columns = rows(name, record)
    assert service in services
    assert columns[field] == value


def test_a_record_is_only_of_the_services_that_it_belongs_to():
    assert rows("entra_id", SIGN_IN)[0] == {"signinlogs"}
    assert rows("entra_id", GRAPH)[0] == {"auditlogs"}
    assert rows("m365_audit", {"Workload": "OneDrive", "Operation": "FileDeleted"})[0] == {"audit"}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """Return a folder with SigmaHQ's rules for clouds and identity providers."""
    if not RULES.is_file():
        pytest.skip("SigmaHQ's rules are not beside this checkout")
    folder = tmp_path_factory.mktemp("sigma")
    with zstandard.open(RULES, "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for one in archive:
            if one.isfile() and one.name.startswith(("rules/cloud/", "rules/identity/")):
                archive.extract(one, folder, filter="data")
    return folder


def test_every_field_that_sigmahqs_rules_ask_for_is_served(upstream):
    assert len(list(upstream.rglob("*.yml"))) > 200
    done = lint_paths(LIBRARY, [upstream])
    assert [str(one) for one in done.findings if one.check in {"field", "logsource"}] == []
