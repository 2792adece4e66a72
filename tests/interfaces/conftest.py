from dataclasses import replace

import jinja2
import pytest
from fastapi import routing

from lemnis.app import coverage_now
from lemnis.interfaces.web import templating


@pytest.fixture(scope="session", autouse=True)
def _no_tests_of_rules():
    """The page of detections has a process run the tests of all rules beside it: that takes minutes of CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage_now, "passing", lambda _: frozenset())
        yield


@pytest.fixture(scope="session", autouse=True)
def _routes_are_read_once():
    """FastAPI reads the signatures of all routes anew for each application, and nearly every test makes one."""
    read, known = routing._EffectiveRouteContext.from_api_route, {}

    def once(*, original_route, include_context):
        key = id(original_route), include_context.prefix
        if key not in known:  # what is kept holds on to the route, and so its id, and to no application
            alone = replace(include_context, dependency_overrides_provider=None)
            known[key] = read(original_route=original_route, include_context=alone)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routing._EffectiveRouteContext, "from_api_route", once)
        yield


class _Compiled(jinja2.BytecodeCache):
    """What templates were compiled to, by their names and texts."""

    def __init__(self):
        self._known = {}

    def load_bytecode(self, bucket):
        bucket.code = self._known.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket):
        self._known[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture(scope="session", autouse=True)
def _templates_are_compiled_once():
    """Each console compiles the templates of the pages that it shows, and nearly every test makes one."""
    make, known = templating.Environment.__init__, _Compiled()

    def made(self, folder):
        make(self, folder)
        self.bytecode_cache = known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templating.Environment, "__init__", made)
        yield
