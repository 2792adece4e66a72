"""Sigma's log sources of Windows, as conditions on channel and event number: what peers without routing ask.

The channels of services are pySigma's own; the event numbers of categories are Sysmon's and PowerShell's. A
category that none of them logs has no condition but its service's.
"""

from __future__ import annotations

from sigma.pipelines.common import generate_windows_logsource_items, windows_logsource_mapping
from sigma.processing.conditions import LogsourceCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import AddConditionTransformation, ChangeLogsourceTransformation

SYSMON = {
    "process_creation": (1,),
    "file_change": (2,),
    "network_connection": (3,),
    "sysmon_status": (4, 16),
    "process_termination": (5,),
    "driver_load": (6,),
    "image_load": (7,),
    "create_remote_thread": (8,),
    "raw_access_thread": (9,),
    "process_access": (10,),
    "file_event": (11,),
    "registry_add": (12,),
    "registry_delete": (12,),
    "registry_set": (13,),
    "registry_rename": (14,),
    "registry_event": (12, 13, 14),
    "create_stream_hash": (15,),
    "pipe_created": (17, 18),
    "wmi_event": (19, 20, 21),
    "dns_query": (22,),
    "file_delete": (23,),
    "clipboard_capture": (24,),
    "process_tampering": (25,),
    "file_delete_detected": (26,),
    "file_block_executable": (27,),
    "file_block_shredding": (28,),
    "file_executable_detected": (29,),
    "sysmon_error": (255,),
}
POWERSHELL = {
    "ps_module": ("powershell", 4103),
    "ps_script": ("powershell", 4104),
    "ps_classic_start": ("powershell-classic", 400),
    "ps_classic_provider_start": ("powershell-classic", 600),
    "ps_classic_script": ("powershell-classic", 800),
}


def logged(category: str | None) -> tuple[str, tuple[int, ...]] | None:
    """Return the service that logs a category, and the numbers of its events."""
    if category in SYSMON:
        return "sysmon", SYSMON[category]
    if category in POWERSHELL:
        service, number = POWERSHELL[category]
        return service, (number,)
    return None


def conditions(category: str | None, service: str | None) -> dict[str, list[str]]:
    """Return a log source as fields of which each has to have one of its values."""
    found: dict[str, list[str]] = {}
    log = logged(category)
    if log is not None:
        service, numbers = log
        found["EventID"] = [str(number) for number in numbers]
    channel = windows_logsource_mapping.get(service)
    if channel is not None:
        found["Channel"] = [channel] if isinstance(channel, str) else list(channel)
    return found


def pipeline() -> ProcessingPipeline:
    """Return the same for pySigma's backends."""
    items = []
    for category in (*SYSMON, *POWERSHELL):
        log = logged(category)
        if log is None:
            continue
        added = AddConditionTransformation({"EventID": list(log[1])})
        named = ChangeLogsourceTransformation(product="windows", service=log[0], category=category)
        items += [
            ProcessingItem(
                transformation=step,
                rule_conditions=[LogsourceCondition(category=category, product="windows")],
            )
            for step in (added, named)
        ]
    channels = generate_windows_logsource_items(cond_field_template="Channel", cond_value_template="{source}")
    return ProcessingPipeline(name="log sources of Windows", items=[*items, *channels])
