import pytest

from lemnis.app import coverage_now


@pytest.fixture(scope="session", autouse=True)
def _no_tests_of_rules():
    """The page of detections has a process run the tests of all rules beside it: that takes minutes of CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage_now, "passing", lambda _: frozenset())
        yield
