"""Real clusters for tests, through pytest-kind.

pytest-kind's own fixture takes no kind configuration, and would fetch a kind and a kubectl of 2022.
These fixtures give it ours (see ``tests/bed``). Each xdist worker has clusters of its own.
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

# Who starts the tests in the background ignores SIGINT, and so would every process that a test
# starts, the plugin among them: pressing Ctrl-C would test nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

FreshCluster = Callable[..., Bed]
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a cluster. (A module's tests stay on one xdist worker: --dist loadfile;
    most of them share a cluster, in their order.)"""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def kit() -> bed_cluster.Kit:
    """The container engine, kind, kubectl and the node image."""
    made = bed_cluster.prepare()
    pytestkind.delete_orphans(made)
    return made


@pytest.fixture(scope="module")
def cluster(
    request: pytest.FixtureRequest, kit: bed_cluster.Kit, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bed]:
    """One cluster for all tests of a module; its ``KIND_CONFIG`` string may say what kind of one."""
    config = getattr(request.module, "KIND_CONFIG", "")
    with pytestkind.running(kit, _name(), tmp_path_factory.mktemp("cluster"), config) as bed:
        yield bed


@pytest.fixture
def fresh_cluster(kit: bed_cluster.Kit, tmp_path: Path) -> Iterator[FreshCluster]:
    """Makes clusters for one test alone: ``fresh_cluster()``, ``fresh_cluster(kind_config)``."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def create(config: str = "") -> Bed:
            name = _name()
            folder = tmp_path / name
            folder.mkdir()
            return stack.enter_context(pytestkind.running(kit, name, folder, config))

        yield create


def _name() -> str:
    """Unique on this machine, and it says which process to blame."""
    return f"{pytestkind.PREFIX}{os.getpid()}-{next(_numbers)}"
