"""Real clusters for tests, through pytest-kind.

pytest-kind's own fixture takes no kind configuration, and would fetch a kind and a kubectl of 2022.
These fixtures give it the bed's (see ``tests/bed``). Each xdist worker has clusters of its own.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bed import cluster as bed_cluster
from bed import pytestkind
from bed.harness import Bed

# A shell that starts the tests in the background ignores SIGINT, and so would every process that a
# test starts, including the plugin: pressing Ctrl-C would test nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

FreshCluster = Callable[..., Bed]
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder: it needs a cluster. (A module's tests stay on one xdist
    worker: --dist loadfile; most of them share a cluster, in their order.)
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def kit() -> bed_cluster.Kit:
    """Return the container engine, kind, kubectl and the node image."""
    made = bed_cluster.prepare()
    pytestkind.delete_orphans(made)
    return made


@pytest.fixture(scope="module")
def cluster(
    request: pytest.FixtureRequest, kit: bed_cluster.Kit, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bed]:
    """Yield one cluster for all tests of a module; its ``KIND_CONFIG`` string may give its
    configuration.
    """
    config = getattr(request.module, "KIND_CONFIG", "")
    with pytestkind.running(kit, _name(), tmp_path_factory.mktemp("cluster"), config) as bed:
        yield bed


@pytest.fixture
def fresh_cluster(kit: bed_cluster.Kit, tmp_path: Path) -> Iterator[FreshCluster]:
    """Yield a maker of clusters for one test alone: ``fresh_cluster()``,
    ``fresh_cluster(kind_config)``.
    """
    from contextlib import ExitStack

    with ExitStack() as stack:

        def create(config: str = "") -> Bed:
            name = _name()
            folder = tmp_path / name
            folder.mkdir()
            return stack.enter_context(pytestkind.running(kit, name, folder, config))

        yield create


def _name() -> str:
    """Return a name that is unique on this machine, and that names the process to blame."""
    return f"{pytestkind.PREFIX}{os.getpid()}-{next(_numbers)}"
