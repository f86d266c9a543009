"""The user's kind configuration, with the bed's additions."""

from __future__ import annotations

import copy
import json
from typing import Any

from bed.command import BedError

API_VERSION = "kind.x-k8s.io/v1alpha4"
# The kubelet refuses cgroup v1 from 1.35 on, unless told otherwise.
CGROUP_V1_PATCH = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
"""
# Where the local node image has patches for what kubeadm makes.
KUBEADM_PATCHES = "/kind/patches"
INIT_PATCH = f"""\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
patches:
  directory: {KUBEADM_PATCHES}
"""

Config = dict[str, Any]


def control_planes(count: int) -> str:
    """Return the configuration of so many control-plane nodes and no worker, for ``load``."""
    return json.dumps({"nodes": [{"role": "control-plane"}] * count})


def load(text: str) -> Config:
    """Parse ``text``, which must be a kind ``Cluster``; empty text is a cluster of one node."""
    import yaml

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BedError(f"the kind configuration is not YAML: {error}") from None
    config = {} if config is None else config
    if not isinstance(config, dict):
        raise BedError("the kind configuration must be one object of kind Cluster")
    config.setdefault("kind", "Cluster")
    config.setdefault("apiVersion", API_VERSION)
    if (config["kind"], config["apiVersion"]) != ("Cluster", API_VERSION):
        raise BedError(f"the kind configuration must be a Cluster of {API_VERSION}")
    return config


def complete(config: Config, *, local_image: str | None, cgroup_version: int) -> Config:
    """Return ``config`` for this machine; the caller's own choices stay.

    ``local_image`` is the node image that was built here: it brings its own pod network, and every
    node without an image gets it. None means kind's published image.
    """
    done = copy.deepcopy(config)
    networking = done.setdefault("networking", {})
    networking.setdefault("kubeProxyMode", "nftables")
    nodes = done.setdefault("nodes", None) or [{"role": "control-plane"}]
    done["nodes"] = nodes
    if local_image:
        networking.setdefault("disableDefaultCNI", True)
        for node in nodes:
            node.setdefault("image", local_image)
    ours = [INIT_PATCH] if local_image else []
    ours += [CGROUP_V1_PATCH] if cgroup_version == 1 else []
    if ours:  # ahead of the user's patches, so that theirs have the last word
        done["kubeadmConfigPatches"] = ours + (done.get("kubeadmConfigPatches") or [])
    return done


def has_load_balancer(config: Config) -> bool:
    """Return whether kind puts a load balancer in front: it does for more than one control-plane
    node.
    """
    nodes = config.get("nodes") or []
    return sum(node.get("role", "control-plane") == "control-plane" for node in nodes) > 1


def dump(config: Config) -> str:
    """Return ``config`` as kind reads it (JSON is YAML)."""
    return json.dumps(config, indent=2) + "\n"
