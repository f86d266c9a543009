"""The making of clusters: what kind needs beforehand, its configuration, and the wait until all is
Ready.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bed import cache, engine, golang, kindconfig, nodeimage, versions
from bed.command import BedError, output, say, told
from bed.versions import Release

READY = 180.0  # seconds that a new cluster may take until everything in it is Ready
STATIC_PODS = 4  # etcd and the three components, on every control-plane node


@dataclass(frozen=True)
class Kit:
    """The parts with which a cluster is made.

    ``image`` is the node image that was built here, None for kind's published image.
    """

    kind: Path
    kubectl: Path
    image: str | None
    release: Release


def release_named(name: str) -> Release:
    """Return the release of a Kubernetes version (``v1.36.4``), the default for an empty name.

    Raise BedError that names the versions which the bed can build.
    """
    if not name:
        return versions.DEFAULT
    for release in versions.RELEASES:
        if release.kubernetes == name:
            return release
    known = ", ".join(release.kubernetes for release in versions.RELEASES)
    raise BedError(f"the bed builds no Kubernetes {name!r}; KUBERNETES is one of {known}")


def prepare(release: Release = versions.DEFAULT) -> Kit:
    """Provide a container engine, the programs and a node image. This is quick if all are there."""
    engine.ready()
    image = _image(release)  # first: its parallel build includes both programs
    return Kit(
        golang.tool("kind"), golang.built(golang.kubectl(release)) / "kubectl", image, release
    )


def write_config(kit: Kit, user_config: str, place: Path) -> Path:
    """Write the kind configuration for this machine (see ``kindconfig``) to ``place``."""
    config = kindconfig.complete(
        kindconfig.load(user_config),
        local_image=kit.image,
        cgroup_version=engine.cgroup_version(),
    )
    if kit.image and kindconfig.has_load_balancer(config):
        nodeimage.load_balancer(kit.release)
    place.write_text(kindconfig.dump(config))
    return place


def create(name: str, *, config: Path | None = None, release: Release = versions.DEFAULT) -> None:
    """Create the cluster ``name`` of ``release`` and return when the cluster is Ready.

    A cluster that fails is deleted again. The kubeconfig goes where kind puts it: into the first
    file of KUBECONFIG, or ~/.kube/config.
    """
    kit = prepare(release)
    if name in output([kit.kind, "get", "clusters"]).split():
        raise BedError(f"there is a cluster {name} already: make delete-cluster NAME={name}")
    if config and not config.is_file():
        raise BedError(f"there is no file {config}")
    file = cache.root() / "clusters" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_config(kit, config.read_text() if config else "", file)
    argv = [kit.kind, "create", "cluster", "--name", name, "--config", file]
    with told(f"creating the cluster {name}", "20 s"):
        try:
            if subprocess.run(argv, stdin=subprocess.DEVNULL).returncode:
                raise BedError(f"kind could not create the cluster {name}; what it said is above")
            wait_ready(kit.kubectl, context=f"kind-{name}")
        except BaseException:
            say(f"deleting what there is of {name}")
            delete(name)
            raise
        finally:
            file.unlink()


def delete(name: str) -> None:
    """Delete the cluster ``name``; a cluster that isn't there is deleted already."""
    argv = [golang.tool("kind"), "delete", "cluster", "--name", name]
    if subprocess.run(argv, stdin=subprocess.DEVNULL).returncode:
        raise BedError(f"kind could not delete the cluster {name}; what it said is above")


def wait_ready(kubectl: Path, *, context: str, kubeconfig: Path | None = None) -> None:
    """Wait until nodes and kube-system's pods are Ready; raise BedError naming those that aren't."""
    ask = [kubectl, "--context", context, "--request-timeout=5s", "--output=json"]
    if kubeconfig:
        ask += ["--kubeconfig", kubeconfig]
    deadline = time.monotonic() + READY
    while True:
        try:
            nodes = json.loads(output([*ask, "get", "nodes"]))["items"]
            pods = json.loads(output([*ask, "get", "pods", "--namespace=kube-system"]))["items"]
            missing = not_ready(nodes, pods)
        except BedError as error:
            missing = str(error)
        if not missing:
            return
        if time.monotonic() > deadline:
            raise BedError(f"the cluster was not Ready within {READY:.0f} s: {missing}")
        time.sleep(0.5)


def _has_foreign_etcd(pods: list[dict[str, Any]]) -> bool:
    """Return whether the apiserver's etcd is not kubeadm's own, which takes TLS only."""
    containers = [one for pod in pods for one in pod.get("spec", {}).get("containers", [])]
    words = [word for one in containers for word in one.get("command", [])]
    return any(word.startswith("--etcd-servers=http://") for word in words)


def not_ready(nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> str:
    """Return what a cluster of ``nodes`` with ``pods`` in kube-system lacks; empty if it is Ready."""
    control_planes = sum(
        "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"] for node in nodes
    )
    static = sum("kubernetes.io/config.mirror" in _annotations(pod) for pod in pods)
    wanted = (STATIC_PODS - _has_foreign_etcd(pods)) * control_planes
    if static < wanted:
        return f"{static} of {wanted} static pods are known"
    proxies = sum(pod["metadata"]["labels"].get("k8s-app") == "kube-proxy" for pod in pods)
    resolvers = sum(pod["metadata"]["labels"].get("k8s-app") == "kube-dns" for pod in pods)
    if proxies < len(nodes) or not resolvers:
        return "kube-proxy and CoreDNS are not there yet"
    waiting = [item["metadata"]["name"] for item in nodes + pods if not _is_ready(item)]
    return f"not Ready: {', '.join(waiting)}" if waiting else ""


def _annotations(item: dict[str, Any]) -> dict[str, str]:
    annotations: dict[str, str] = item["metadata"].get("annotations", {})
    return annotations


def _is_ready(item: dict[str, Any]) -> bool:
    conditions = item["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _image(release: Release) -> str | None:
    """Return the local node image, or None if the published image can be reached.

    BED_NODE_IMAGE=local or published decides this without a request to the registry. Only the
    default release has a published image that the bed knows.
    """
    choice = os.environ.get("BED_NODE_IMAGE", "")
    if choice not in ("", "local", "published"):
        raise BedError("BED_NODE_IMAGE must be local or published, or not set")
    if release != versions.DEFAULT:
        return nodeimage.present(release)
    if choice == "published":
        return None
    if not choice and not nodeimage.known(release):
        say(f"asking for the published node image {versions.PUBLISHED_NODE_IMAGE} (10 s at most)")
        if engine.published_image(versions.PUBLISHED_NODE_IMAGE):
            return None
        say("no image registry can be reached from here: the node image is built from packages")
    return nodeimage.present(release)
