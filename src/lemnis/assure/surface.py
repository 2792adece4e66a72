"""What a change adds to the attack surface, read off its lines.

Entry points, data stores, trust boundaries, personal data.

A heuristic for asking, not for judging: it asks a person to look at the threat model again. Patterns are
RE2's, so that no line can make them slow.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import re2

KINDS = ("entry_point", "data_store", "trust_boundary", "personal_data")
MAX_LINE = 2000
_PERSONAL = (
    r"(?i)\b(e_?mail(_address)?|phone(_number)?|mobile_number|first_?name|last_?name|full_?name|surname"
    r"|birth_?(day|date)|date_of_birth|dob|ssn|social_security_number|passport(_number)?|iban"
    r"|postal_address|home_address|street_address|gender|religion|ethnicity|diagnosis|health_data)\b"
)
_TYPED = (
    r"\s*(:\s*(str|Mapped|Optional|string|String)|=\s*(models\.|mapped_column|Column|db\.Column|sa\.Column)"
    r"|\s+(TEXT|VARCHAR|CHAR|DATE|STRING|text|varchar|character varying|date)\b|:\s*\{\s*type:)"
)
_TF = ("*.tf", "*.tf.json")
_YAML = ("*.yaml", "*.yml")
_COMPOSE = ("*compose*.yml", "*compose*.yaml")
_NODE = ("*.js", "*.ts", "*.mjs", "*.cjs")
_JVM = ("*.java", "*.kt")
_ROUTES = "Ingress|IngressRoute|HTTPRoute|VirtualService"
_BORDERS = (
    "NetworkPolicy|CiliumNetworkPolicy|AuthorizationPolicy|PeerAuthentication|ServiceEntry|Gateway"
    "|ClusterRoleBinding"
)
_STORES = (
    r"aws_(db_instance|rds_cluster|dynamodb_table|s3_bucket|elasticache_\w+|redshift_cluster"
    r"|efs_file_system|opensearch_domain)"
    r"|azurerm_(storage_account|mssql_database|cosmosdb_account|postgresql_\w+)"
    r"|google_(sql_database_instance|storage_bucket|bigquery_dataset|firestore_database)"
)
_NETWORKS = (
    r"aws_(security_group|security_group_rule|vpc_peering_connection|iam_role|lb_listener|apigatewayv2_api)"
    r"|azurerm_(network_security_rule|virtual_network_peering)|google_compute_(firewall|network_peering)"
)
_SERVERS = "postgres|mysql|mariadb|mongo|redis|elasticsearch|opensearch|minio|cassandra"
_CROSS_ORIGIN = r"(?i)Access-Control-Allow-Origin|CORSMiddleware|@CrossOrigin\b"
_PATTERNS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("entry_point", ("*.py",), r"@\w+(\.\w+)*\.(route|get|post|put|patch|delete|websocket)\("),
    ("entry_point", ("*.py",), r"^\s*(re_)?path\(\s*r?['\"]"),
    ("entry_point", _NODE, r"\.(get|post|put|patch|delete|all|ws)\(\s*['\"`]/"),
    ("entry_point", _JVM, r"@(Get|Post|Put|Patch|Delete|Request|Message)Mapping\b|@Path\("),
    ("entry_point", ("*.go",), r"\b(HandleFunc|Handle)\(\s*\""),
    ("entry_point", ("*.go",), r"\.(GET|POST|PUT|PATCH|DELETE|Get|Post|Put|Delete)\(\s*\"/"),
    ("entry_point", ("*.rb",), r"^\s*(get|post|put|patch|delete)\s+['\"]/"),
    ("entry_point", ("*.proto",), r"^\s*rpc\s+\w+\s*\("),
    ("entry_point", ("Dockerfile*", "*.dockerfile"), r"(?i)^\s*EXPOSE\s+\d"),
    ("entry_point", _YAML, rf"^\s*kind:\s*({_ROUTES})\b|^\s*type:\s*(LoadBalancer|NodePort)\b"),
    ("data_store", _TF, rf'resource\s+"({_STORES})"'),
    ("data_store", ("*.sql",), r"(?i)^\s*CREATE\s+(UNLOGGED\s+)?TABLE\b"),
    ("data_store", ("*.py",), r"\bop\.create_table\(|__tablename__\s*=|\(models\.Model\)"),
    ("data_store", _JVM, r"@(Entity|Document)\b"),
    ("data_store", _NODE, r"mongoose\.model\(|createTable\("),
    ("data_store", _COMPOSE, rf"^\s*image:\s*['\"]?(\S*/)?({_SERVERS})\b"),
    ("trust_boundary", _TF, rf'resource\s+"({_NETWORKS})"'),
    ("trust_boundary", _YAML, rf"^\s*kind:\s*({_BORDERS})\b"),
    ("trust_boundary", ("*.py", "*.go", "*.conf", *_NODE, *_JVM), _CROSS_ORIGIN),
    ("personal_data", ("*.py", "*.sql", *_NODE, *_JVM), _PERSONAL + _TYPED),
    ("personal_data", ("*.proto",), rf"(?i)^\s*(optional\s+|repeated\s+)?string\s+{_PERSONAL[4:]}"),
)
_TESTS = ("test_*", "*_test.*", "*.test.*", "*.spec.*")


@dataclass(frozen=True, slots=True)
class Added:
    """A line that adds to the attack surface, and in which way."""

    kind: str
    path: str
    line: int
    text: str


def _compiled() -> tuple[tuple[str, tuple[str, ...], Any], ...]:
    return tuple((kind, files, re2.compile(pattern)) for kind, files, pattern in _PATTERNS)


def added(lines: Iterable[tuple[str, int, str]]) -> Iterator[Added]:
    """Yield what the added lines (path, line, text) add, each line once a kind; tests add nothing."""
    patterns = _compiled()
    for path, line, text in lines:
        name = posixpath.basename(path)
        if any(fnmatch(name, one) for one in _TESTS) or "/tests/" in f"/{path}":
            continue
        seen = set()
        for kind, files, pattern in patterns:
            fits = kind not in seen and any(fnmatch(name, one) for one in files)
            if fits and pattern.search(text[:MAX_LINE]):
                seen.add(kind)
                yield Added(kind, path, line, text.strip()[:200])
