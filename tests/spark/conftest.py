"""One cluster, one session and one lake for all tests of Spark: to start them takes longer than to use them."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "app")]

if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """A workspace with rules, correlations and 120,000 events of several classes and days, some not flushed."""
    import history  # noqa: PLC0415 - it is beside this file

    return history.workspace(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="session")
def logs(tmp_path_factory):
    """Where the cluster's processes keep their logs and their work."""
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="session")
def master(logs):
    """The address of a cluster of two workers."""
    import cluster  # noqa: PLC0415 - it is beside this file

    with cluster.running(logs) as address:
        yield address


@pytest.fixture(scope="session")
def session(master):
    """A session on it."""
    import cluster  # noqa: PLC0415 - it is beside this file

    from lemnis.app import spark  # noqa: PLC0415 - where PySpark is there
    from lemnis.testing.cluster import KEYS  # noqa: PLC0415 - as above

    settings = {
        "spark.executor.memory": "800m",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",  # for the test that uses plain Spark
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.executor.extraJavaOptions": cluster.BRIEF,
        "spark.driver.extraJavaOptions": cluster.BRIEF,
    }
    settings |= {f"spark.executorEnv.{name}": value for name, value in KEYS.items()}
    with spark.session(master, settings) as opened:
        yield opened
