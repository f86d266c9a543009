"""The package, built once from a copy of the tree: the tree itself may change meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaged import build, copy_tree


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: they need the package."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.package)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the package is built from."""
    return copy_tree(tmp_path_factory.mktemp("tree") / "copy")


@pytest.fixture(scope="session")
def dist(tree: Path) -> Path:
    """Return the directory with the package."""
    return build(tree)


@pytest.fixture(scope="session")
def zipapp(dist: Path) -> Path:
    """Return the path of the program."""
    return dist / "kubectl-selfhost"
