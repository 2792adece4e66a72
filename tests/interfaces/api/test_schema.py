"""Every route of the API is asked what its description allows, and what it does not; it may never fail.

What is given is made by Hypothesis of the description: a bounded number of cases a route here, with a seed; more
with ``LEMNIS_SCHEMATHESIS_CASES``.
"""

import os
import shutil

import guarding
import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import Failure as CheckFailed
from schemathesis.core.failures import FailureGroup

from lemnis import app
from lemnis.content.schemas.console import Console
from lemnis.interfaces.api.guard import Rates
from lemnis.interfaces.api.limits import Rate

CASES = int(os.environ.get("LEMNIS_SCHEMATHESIS_CASES", "5"))
load_all_checks()
ASKED = CHECKS.get_by_names([
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "unsupported_method", "negative_data_rejection", "ignored_auth",
])  # fmt: skip
WIDE = Rate(1e9, 1e9)
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def console(okta, tmp_path_factory):
    root = shutil.copytree(okta, tmp_path_factory.mktemp("schema") / "soc")
    built = guarding.console_of(
        app.open_workspace(root), how=Console(hosts=["testserver"]), rates=Rates(WIDE, WIDE, WIDE)
    )
    guarding.joined(built, "all", *built.access.rights.roles)
    guarding.joined(built, "spare", "admin")
    return built


@pytest.mark.slow
def test_every_route_does_as_it_is_described(console):
    headers = {"authorization": f"Bearer {guarding.token(console, 'all')}"}
    schema = schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", console.application, headers=headers
    ).exclude(path="/stream")
    wrong, asked = [], 0
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in MODES:
            try:
                asked += _asked(operation, mode, headers)
            except (FailureGroup, CheckFailed) as found:
                wrong.append(f"{operation.label} ({mode.value}): {found}")
    assert asked > 40
    assert not wrong, "\n\n".join(wrong)


def _asked(operation, mode, headers):
    """Ask one route with what fits its description, or with what does not; return how often."""
    asked = 0

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=CASES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )  # fmt: skip
    def ask(case):
        nonlocal asked
        asked += 1
        case.validate_response(case.call(headers=headers), checks=ASKED, headers=headers)

    try:
        ask()
    except hypothesis.errors.Unsatisfiable:  # a route without parameters takes everything
        assert mode is GenerationMode.NEGATIVE
    return asked
