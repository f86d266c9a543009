"""Imports of the kubernetes package what we use, without its 700 models.

``import kubernetes`` (35.0) loads every model and API class: 0.25 to 0.6 s, of the 0.5 s that a
status page may take; what we need of it takes half. 37 loads them at first use, but needs compiled
code. So its packages are entered here without running their ``__init__``; their modules are the
package's own, untouched. Nothing here is needed for anything but speed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

_PACKAGES = ("client", "client.models", "config")


def prepare() -> None:
    """To be called before anything of ``kubernetes`` is imported; does nothing if it was before."""
    if "kubernetes" in sys.modules:
        return
    found = importlib.util.find_spec("kubernetes")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the Python package kubernetes is not installed")
    root = found.submodule_search_locations[0]
    _enter("kubernetes", root)
    for name in _PACKAGES:
        _enter(f"kubernetes.{name}", f"{root}/{name.replace('.', '/')}")
    # What the package's other modules import from kubernetes.client itself.
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
