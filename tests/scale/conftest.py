import sys
import tempfile
from pathlib import Path

import pytest

from lemnis.testing import cluster

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def servers():
    """Three NATS servers, PostgreSQL and S3; the folder is short, for its sockets."""
    reason = cluster.missing()
    if reason:
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="lemnis-", dir="/tmp") as folder,
        cluster.cluster(Path(folder) / "c") as running,
    ):
        yield running
