"""Import of the needed parts of the kubernetes package, without its 700 models.

``import kubernetes`` (35.0) loads every model and API class. That takes 0.25 to 0.6 s, and a status
page should take 0.5 s in all. The parts that the program needs take half of that time. Version 37
loads models at first use, but needs compiled code. So this module enters the package's folders
without running their ``__init__``. The modules are the package's own, unchanged. This module only
makes the start fast.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

_PACKAGES = ("client", "client.models", "config")


def prepare() -> None:
    """Prepare the import of ``kubernetes``; do nothing the second time. Call this function before
    the first import from the package.
    """
    if "kubernetes" in sys.modules:
        return
    found = importlib.util.find_spec("kubernetes")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the Python package kubernetes is not installed")
    root = found.submodule_search_locations[0]
    _enter("kubernetes", root)
    for name in _PACKAGES:
        _enter(f"kubernetes.{name}", f"{root}/{name.replace('.', '/')}")
    # The names that the package's other modules import from kubernetes.client itself.
    client = sys.modules["kubernetes.client"]
    for module, name in (
        ("kubernetes.client.configuration", "Configuration"),
        ("kubernetes.client.exceptions", "ApiException"),
        ("kubernetes.client.api_client", "ApiClient"),
    ):
        setattr(client, name, getattr(importlib.import_module(module), name))


def _enter(name: str, path: str) -> None:
    package = types.ModuleType(name)
    package.__path__ = [path]
    sys.modules[name] = package
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, package)
