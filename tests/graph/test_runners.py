"""What the folders of build runners tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.graph.process_tree import Started
from lemnis.graph.runners import action, job, packages, stands

WORK = "/opt/actions-runner/_work"


def started(command="", folder="", program="/usr/bin/node", pid=20):
    return Started(f"ev-{pid}", "build-7", pid, pid - 1, 1_000, program, command, folder)


WORKER = started(
    "Runner.Worker spawnclient", "/opt/actions-runner/bin", "/opt/actions-runner/bin/Runner.Worker", 10
)
LISTENER = started("Runner.Listener run", "/opt/actions-runner", "/opt/actions-runner/bin/Runner.Listener", 9)


@pytest.mark.parametrize(
    ("folder", "repository"),
    [
        (f"{WORK}/shop/shop", "shop"),
        (f"{WORK}/shop/shop/node_modules/x", "shop"),
        ("/home/runner/work/my.site/my.site", "my.site"),
        (f"{WORK}/_temp", ""),
        (f"{WORK}/shop/other", ""),
        ("/srv/shop/shop", ""),
    ],
)
def test_a_job_is_of_the_repository_that_its_folder_names(folder, repository):
    found = job([started(folder=folder), WORKER, LISTENER])
    assert found.repository == repository
    assert [one.pid for one in found.ran] == [20]


def test_without_a_worker_only_a_folder_tells_of_a_job():
    assert job([started("npm ci", "/srv/shop/shop")]) is None
    assert job([started(f"bash -e {WORK}/shop/shop/build.sh")]).repository == "shop"
    assert job([WORKER, LISTENER]) is None  # the worker itself is of no job
    assert job([]) is None


def test_an_action_is_named_by_where_it_lies():
    ran = (started("sh -c env"), started(f"node {WORK}/_actions/quick-ci/changed-files/v45/dist/index.js"))
    assert action(ran).name == "quick-ci/changed-files@v45"
    assert stands(ran, "/_actions/quick-ci/changed-files/v45") is ran[1]
    assert stands(ran, "/_actions/quick-ci/changed-files/v4") is None  # a beginning of a name is another name
    assert action(ran[:1]) is None


def test_a_package_is_named_by_the_folder_that_something_ran_in_or_lies_in():
    def names(*ran):
        return [(kind, told.name, told.within) for kind, told in packages(ran)]

    assert names(started("node x.js", f"{WORK}/shop/shop/node_modules/@tiny/fmt")) == [
        ("npm", "@tiny/fmt", True)
    ]
    assert names(started("node x.js", "/srv/node_modules/a/node_modules/b")) == [
        ("npm", "b", True),
        ("npm", "a", True),
    ]
    assert names(started("node /srv/node_modules/.bin/jest")) == []
    assert names(started("node /srv/node_modules/jest/bin/jest.js")) == [("npm", "jest", False)]
    assert names(started("python -c …", f"/srv/pip-install-k3x/evil-kit_{'0f' * 16}")) == [
        ("pypi", "evil-kit", True)
    ]
    assert names(started("python3 /usr/lib/python3/dist-packages/gunicorn/app.py")) == [
        ("pypi", "gunicorn", False)
    ]
    own = f"{WORK}/_actions/quick-ci/x/v1/node_modules/lodash/index.js"
    assert names(started(f"node {own}")) == []  # what an action brings is the action's


@given(st.lists(st.builds(started, st.text(), st.text(), st.text()), max_size=4))
def test_anything_may_stand_in_a_command(ran):
    found = job(ran)
    assert found is None or set(found.ran) <= set(ran)
    assert all(told.name for _, told in packages(ran))
    assert (action(ran) is None) or "@" in action(ran).name
