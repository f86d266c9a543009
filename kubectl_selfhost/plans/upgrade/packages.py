"""What only a person can do: the packages of kubeadm, the kubelet and kubectl on each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kubectl_selfhost.controlplane.upgrade.version import Version


def commands(
    nodes: Iterable[tuple[str, Version | None]],
    target: Version,
    *,
    first: Sequence[str],
    before: Mapping[str, str],
) -> list[str]:
    """Return the commands for each node (name, its kubelet's version) whose kubelet is older.

    ``first`` are control-plane nodes: they come first, one at a time. ``before`` are the commands
    that `kubeadm upgrade apply` needs, by control-plane node.
    """
    behind = [(name, now) for name, now in nodes if now is None or now < target]
    behind.sort(key=lambda pair: (pair[0] not in first, pair[0]))
    said = []
    for number, (name, now) in enumerate(behind):
        apply = number == 0 and name in first
        needs = [f"# From your machine: {before[name]}"] if apply and name in before else []
        said.append("\n".join([*needs, *_on(name, now, target, apply=apply)]))
    return said


def _on(name: str, now: Version | None, target: Version, *, apply: bool) -> list[str]:
    version = str(target).removeprefix("v")
    minor = now is None or target.minors_after(now) != 0
    upgrade = (
        f"kubeadm upgrade apply {target} -y --skip-phases=control-plane "
        "--ignore-preflight-errors=StaticPodManifest"
        if apply
        else "kubeadm upgrade node"
    )
    install = "apt-get install -y --allow-change-held-packages"
    return [
        f"# On {name}, as root:",
        *(
            [f"# (the packages' repository of {target.release}: pkgs.k8s.io has one per release)"]
            if minor
            else []
        ),
        f"apt-get update && {install} kubeadm='{version}-*'",
        upgrade,
        *([f"# From your machine: kubectl drain {name} --ignore-daemonsets"] if minor else []),
        f"{install} kubelet='{version}-*' kubectl='{version}-*'",
        "systemctl daemon-reload && systemctl restart kubelet",
        *([f"# From your machine: kubectl uncordon {name}"] if minor else []),
    ]
