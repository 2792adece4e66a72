"""Which classes and attributes of OCSF the lake keeps: what Lemnis uses, cut where objects would recurse.

An object's attributes are listed once by its name; ``attribute=variant`` takes another list for the object
that the attribute holds (``process/parent``). Types, requirements and enumerations are the standard's own
and are not written here: ``python -m lemnis.ocsf.generate`` reads them from a checkout of the standard.
"""

from __future__ import annotations

from collections.abc import Mapping

BASE = """activity_id activity_name category_name category_uid class_name class_uid count duration end_time
 message metadata observables raw_data severity severity_id start_time status status_code status_detail
 status_id time timezone_offset type_name type_uid unmapped cloud
 enrichments"""
"""What every class has."""

HOST = "actor device"
_FINDING = "comment confidence confidence_id device finding_info resources"
_NETWORK = f"""{HOST} app_name connection_info src_endpoint dst_endpoint traffic tls action action_id
 disposition disposition_id firewall_rule"""

CLASSES: Mapping[str, str] = {
    "base_event": HOST,
    "file_activity": f"{HOST} file file_result access_mask component",
    "kernel_extension_activity": f"{HOST} driver",
    "module_activity": f"{HOST} module",
    "scheduled_job_activity": f"{HOST} job",
    "process_activity": f"{HOST} process exit_code injection_type injection_type_id module "
    "requested_permissions actual_permissions",
    "event_log_activity": f"{HOST} log_name log_provider log_type log_type_id src_endpoint",
    "script_activity": f"{HOST} script",
    "registry_key_activity": f"{HOST} reg_key prev_reg_key",
    "registry_value_activity": f"{HOST} reg_value prev_reg_value",
    "windows_service_activity": f"{HOST} win_service",
    "vulnerability_finding": f"{_FINDING} vulnerabilities",
    "compliance_finding": f"{_FINDING} compliance remediation",
    "detection_finding": f"{_FINDING} evidences impact impact_id is_alert remediation risk_score",
    "incident_finding": "assignee assignee_group attacks=attack comment confidence confidence_id desc "
    "finding_info_list impact impact_id priority priority_id src_url verdict verdict_id",
    "application_security_posture_finding": f"{_FINDING} application compliance remediation vulnerabilities",
    "account_change": f"{HOST} http_request src_endpoint user user_result policies",
    "authentication": f"{HOST} http_request src_endpoint dst_endpoint auth_protocol auth_protocol_id "
    "is_cleartext is_mfa is_new_logon is_remote logon_process logon_type logon_type_id service session user",
    "authorize_session": f"{HOST} src_endpoint dst_endpoint group privileges session user",
    "entity_management": f"{HOST} entity entity_result comment",
    "group_management": f"{HOST} src_endpoint group privileges resource user",
    "network_activity": f"{_NETWORK} url is_src_dst_assignment_known",
    "http_activity": f"{_NETWORK} http_request http_response file",
    "dns_activity": f"{_NETWORK} query answers rcode rcode_id query_time response_time",
    "dhcp_activity": f"{_NETWORK} is_renewal lease_dur relay transaction_uid",
    "rdp_activity": f"{_NETWORK} user protocol_ver identifier_cookie",
    "smb_activity": f"{_NETWORK} command dialect file open_type share share_type share_type_id tree_uid",
    "ssh_activity": f"{_NETWORK} auth_type auth_type_id client_hassh server_hassh protocol_ver file",
    "network_file_activity": f"{_NETWORK} file",  # deprecated there, and nothing else says it of a wire
    "api_activity": f"{HOST} api src_endpoint dst_endpoint http_request http_response resources",
    "application_lifecycle": f"{HOST} app",
    "datastore_activity": f"{HOST} src_endpoint dst_endpoint database table query_info type type_id",
}

_USER = "uid name type type_id domain uid_alt email_addr full_name credential_uid account groups has_mfa"
_FILE = """name path type type_id hashes size uid desc company_name created_time modified_time mime_type owner
 product signature version internal_name xattributes"""
_PROCESS = """name pid uid cmd_line created_time terminated_time file integrity integrity_id working_directory
 tid path session user container namespace_pid"""
_ENDPOINT = "hostname ip port mac name uid domain svc_name instance_uid interface_uid location type type_id"

OBJECTS: Mapping[str, str] = {
    "account": "uid name type type_id",
    "actor": "process user session app_name app_uid invoked_by idp",
    "affected_code": "file=file/bare start_line end_line owner=user/bare rule",
    "affected_package": "name version purl fixed_in_version path package_manager",
    "analytic": "uid name type type_id category version desc",
    "api": "operation request response service version group",
    "application": "uid name desc type version group owner=user/bare url hostname",
    "attack": "tactic technique sub_technique version",
    "certificate": "subject issuer serial_number fingerprints expiration_time",
    "cloud": "provider region zone account project_uid org cloud_partition",
    "compliance": "standards control requirements status status_id status_detail",
    "container": "uid name hash image labels=container/labels runtime size tag pod_uuid orchestrator",
    "cve": "uid title desc cvss references created_time modified_time",
    "cvss": "base_score version severity vector_string",
    "cwe": "uid caption src_url",
    "database": "name uid type type_id desc",
    "device": "hostname uid name ip mac domain type type_id os region instance_uid container location",
    "digital_signature": "certificate=certificate/bare algorithm algorithm_id state state_id",
    "certificate/bare": "subject issuer serial_number",
    "dns_answer": "rdata type class ttl flags packet_uid",
    "dns_query": "hostname type class opcode opcode_id packet_uid",
    "enrichment": "name value type data provider created_time",
    "evidences": "uid name data process=process/bare file=file/bare user=user/bare src_endpoint dst_endpoint",
    "feature": "name uid version",
    "file": _FILE,
    "file/bare": "name path type type_id hashes",
    "kernel_driver": "file",
    "firewall_rule": "uid name desc version category type",
    "fingerprint": "algorithm algorithm_id value",
    "finding_info": "uid title desc types created_time first_seen_time last_seen_time modified_time analytic "
    "attacks data_sources related_events src_url product_uid",
    "hassh": "algorithm fingerprint",
    "network_interface": "name ip mac hostname uid type type_id",
    "group": "uid name domain desc type privileges",
    "http_request": "http_method url user_agent referrer version uid length args x_forwarded_for",
    "http_response": "code status message length latency content_type",
    "idp": "uid name",
    "image": "uid name tag path labels",
    "job": "name desc cmd_line created_time last_run_time next_run_time run_state run_state_id "
    "file=file/bare user=user/bare",
    "key_value_object": "name value values",
    "location": "country city region continent",
    "managed_entity": "name uid type type_id version data",
    "metadata": "uid version product profiles log_name log_provider log_source log_format log_level "
    "log_version event_code original_event_uid original_time processed_time logged_time sequence "
    "correlation_uid tenant_uid labels transformation_info_list",
    "module": "file base_address function_name load_type load_type_id start_address type",
    "network_connection_info": "uid direction direction_id protocol_name protocol_num protocol_ver "
    "protocol_ver_id boundary boundary_id community_uid tcp_flags",
    "network_endpoint": _ENDPOINT,
    "network_traffic": "bytes bytes_in bytes_out packets packets_in packets_out",
    "observable": "name type type_id value",
    "organization": "uid name ou_uid ou_name",
    "os": "name type type_id version build kernel_release",
    "policy": "uid name desc version",
    "process": f"{_PROCESS} parent_process=process/parent",
    "process/parent": f"{_PROCESS} parent_process=process/bare",
    "process/bare": "name pid uid cmd_line file=file/bare user=user/bare path",
    "product": "name vendor_name version uid feature",
    "query_info": "query_string name uid bytes",
    "reg_key": "path modified_time",
    "reg_value": "name path data type type_id",
    "related_event": "uid type_uid type title",
    "remediation": "desc references",
    "request": "uid flags data",
    "resource_details": "uid name type namespace region owner=user/bare labels data version criticality "
    "hostname ip",
    "response": "code error error_message message data",
    "rule": "uid name desc version category type",
    "script": "name uid file=file/bare script_content type type_id hashes",
    "long_string": "value",
    "service": "uid name version",
    "session": "uid uid_alt issuer created_time expiration_time is_mfa is_remote terminal credential_uid",
    "sub_technique": "uid name",
    "table": "name uid desc",
    "tactic": "uid name",
    "technique": "uid name",
    "tls": "version cipher sni ja3_hash ja3s_hash certificate",
    "transformation_info": "name uid lang",
    "url": "url_string scheme hostname domain port path query_string",
    "user": _USER,
    "user/bare": "uid name type type_id domain email_addr",
    "vulnerability": "title desc severity cve cwe references affected_code affected_packages "
    "is_fix_available remediation vendor_name first_seen_time last_seen_time",
    "win_service": "name uid cmd_line service_start_name service_start_type service_start_type_id "
    "service_type service_type_id",
}
