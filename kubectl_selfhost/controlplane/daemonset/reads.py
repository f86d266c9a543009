"""The credentials that a component reads: by its flags, and where they are on its node.

The flags are those of Kubernetes 1.30 to 1.37 (``options.go`` of each component). A mount that has a
credential moves as a whole. So each file that a flag names below this mount must be known: an unknown
file would be missing afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod.defaults import containers
from kubectl_selfhost.controlplane.pod.staticpod import component_container
from kubectl_selfhost.errors import SelfhostError

#: What a file is: a public authority, the keys of service account tokens, the key that signs
#: certificates, a node's own pair of certificate and key, a node's own kubeconfig.
AUTHORITY, ACCOUNTS, SIGNER, PAIR, KUBECONFIG = (
    "authority",
    "accounts",
    "signer",
    "pair",
    "kubeconfig",
)
_SIGNING = ("", "kubelet-serving-", "kubelet-client-", "kube-apiserver-client-", "legacy-unknown-")
_KINDS = {
    **dict.fromkeys(
        (
            *("client-ca-file", "etcd-cafile", "kubelet-certificate-authority", "oidc-ca-file"),
            *("peer-ca-file", "requestheader-client-ca-file", "root-ca-file"),
            *(f"cluster-signing-{which}cert-file" for which in _SIGNING),
        ),
        AUTHORITY,
    ),
    **{f"cluster-signing-{which}key-file": SIGNER for which in _SIGNING},
    **dict.fromkeys(
        (
            "service-account-key-file",
            "service-account-private-key-file",
            "service-account-signing-key-file",
        ),
        ACCOUNTS,
    ),
    **dict.fromkeys(
        (
            *("tls-cert-file", "tls-private-key-file", "etcd-certfile", "etcd-keyfile"),
            *("kubelet-client-certificate", "kubelet-client-key"),
            *("proxy-client-cert-file", "proxy-client-key-file"),
        ),
        PAIR,
    ),
    **dict.fromkeys(
        ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), KUBECONFIG
    ),
}
#: Which flags name a certificate and its key, and by which flag its authority is known.
PAIRS = {
    ("tls-cert-file", "tls-private-key-file"): "client-ca-file",
    ("etcd-certfile", "etcd-keyfile"): "etcd-cafile",
    ("kubelet-client-certificate", "kubelet-client-key"): "client-ca-file",
    ("proxy-client-cert-file", "proxy-client-key-file"): "requestheader-client-ca-file",
}
#: The flag of the certificate that a component shows to its clients.
SERVING = "tls-cert-file"
_PUBLIC = frozenset(
    (
        *(name for name, kind in _KINDS.items() if kind == AUTHORITY),
        *(certificate for certificate, _ in PAIRS),
        "service-account-key-file",
    )
)
#: Files of configuration that may name further files, which nobody reads before.
_CONFIGURATION = (
    "admission-control-config-file",
    "audit-webhook-config-file",
    "authentication-token-webhook-config-file",
    "authorization-config",
    "authorization-webhook-config-file",
    "cloud-config",
    "config",
    "egress-selector-config-file",
    "tracing-config-file",
)
#: After a total loss its key would be needed to read itself.
_STAYS = "encryption-provider-config"
#: Where kubeadm keeps credentials, and where an agent keeps sets of them.
FOLDER = "/etc/kubernetes"
_FOLDERS = (FOLDER, f"{FOLDER}/pki", f"{FOLDER}/pki/etcd")


@dataclass(frozen=True)
class Read:
    """A file that a component reads: the ``flag`` that names it, its ``kind``, the ``volume`` that
    has it, its place ``inside`` the volume's mount, and its ``path`` on the node below FOLDER.
    """

    flag: str
    kind: str
    volume: str
    inside: str
    path: str

    @property
    def public(self) -> bool:
        return self.flag in _PUBLIC

    @property
    def of_node(self) -> bool:
        """Return whether each node has a file of its own."""
        return self.kind in (PAIR, KUBECONFIG)


@dataclass(frozen=True)
class _Mount:
    volume: str
    mounted: str
    on_node: str

    def has(self, path: str) -> bool:
        return path == self.mounted or path.startswith(f"{self.mounted}/")


def of(component: Component, template: dict) -> list[Read]:
    """Return the credentials that ``component``'s pods of this ``template`` read from their node.

    Raise SelfhostError for what can't be moved, with its name.
    """
    container = component_container(template)
    mounts = list(_mounts(template["spec"], container))
    named = [
        (flag, path, _mount_of(path, mounts))
        for flag, value in component_flags.all_of_container(container)
        for path in _paths(flag, value)
    ]
    moved = {mount.volume: mount for flag, _, mount in named if mount and flag in _KINDS}
    for flag, path, mount in named:
        if mount and mount.volume in moved and flag not in _KINDS:
            _refuse_file(component, flag, path, moved[mount.volume])
    for mount in moved.values():
        _refuse_mount(component, template["spec"], container, mount)
    found = [
        _read(component, flag, path, mount)
        for flag, path, mount in named
        if flag in _KINDS and mount
    ]
    return list(dict.fromkeys(found))


def configurations(template: dict) -> list[str]:
    """Return the flags of files that may name further files, as a person sees them."""
    found = component_flags.all_of_container(component_container(template))
    return [f"--{name}={value}" for name, value in found if name in _CONFIGURATION and value]


def _paths(flag: str, value: str) -> Iterator[str]:
    parts = value.replace(":", ",").split(",") if flag == "tls-sni-cert-key" else [value]
    yield from (part for part in parts if part.startswith("/"))


def _mounts(spec: dict, container: dict) -> Iterator[_Mount]:
    on_node = {one["name"]: one["hostPath"]["path"] for one in spec["volumes"] if "hostPath" in one}
    for mount in container.get("volumeMounts") or []:
        if mount["name"] in on_node:
            if mount.get("subPath") or mount.get("subPathExpr"):
                continue
            yield _Mount(
                mount["name"],
                mount["mountPath"].rstrip("/"),
                on_node[mount["name"]].rstrip("/"),
            )


def _mount_of(path: str, mounts: Iterable[_Mount]) -> _Mount | None:
    found = [mount for mount in mounts if mount.has(path)]
    return max(found, key=lambda mount: len(mount.mounted), default=None)


def _read(component: Component, flag: str, path: str, mount: _Mount) -> Read:
    inside = path.removeprefix(mount.mounted).lstrip("/")
    host = f"{mount.on_node}/{inside}" if inside else mount.on_node
    parts = PurePosixPath(host)
    if ".." in parts.parts or str(parts.parent) not in _FOLDERS:
        raise SelfhostError(
            f"{component} reads {host} of its node (--{flag}), which is in none of "
            f"{', '.join(_FOLDERS)}. The node agent reads credentials only there.",
            "Move the file on the nodes, or keep the credentials on the nodes.",
        )
    return Read(flag, _KINDS[flag], mount.volume, inside, host.removeprefix(FOLDER))


def _refuse_file(component: Component, flag: str, path: str, mount: _Mount) -> None:
    why = (
        "The encryption configuration never moves: after a loss its key would be needed to read it"
        if flag == _STAYS
        else "kubectl selfhost does not know the flag as one of a credential"
    )
    raise SelfhostError(
        f"{component} reads {path} (--{flag}), which is below {mount.mounted}: this mount has "
        f"credentials, and moves as a whole. {why}.",
        f"Give the file a volume of its own, outside of {mount.mounted}: `kubectl selfhost revert`, "
        "change the manifests, `kubectl selfhost pivot`.",
    )


def _refuse_mount(component: Component, spec: dict, container: dict, mount: _Mount) -> None:
    others = [
        one["name"]
        for one in containers(spec)
        if one["name"] != container["name"]
        for used in one.get("volumeMounts") or []
        if used["name"] == mount.volume
    ]
    inside = [
        one["mountPath"]
        for one in container["volumeMounts"]
        if one["mountPath"].startswith(f"{mount.mounted}/")
    ]
    if others or inside:
        what = (
            f"container {others[0]} mounts it, too" if others else f"{inside[0]} is mounted in it"
        )
        raise SelfhostError(
            f"The volume {mount.volume} of {component} has credentials, and {what}. So it can't be "
            "moved.",
            "Change the manifests: `kubectl selfhost revert`, then `kubectl selfhost pivot`.",
        )
