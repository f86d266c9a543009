"""kubeadm's bookkeeping that can be done from outside the nodes, as steps.

These steps come when the new version stays. They have no undo: the records must say what runs.
"""

from __future__ import annotations

from copy import deepcopy

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import AlreadyExists, Forbidden, Rejected
from kubectl_selfhost.cluster.kinds import CLUSTER_ROLE_BINDINGS, CONFIGMAPS, DAEMONSETS
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.daemonset.progress import is_available
from kubectl_selfhost.controlplane.upgrade.findings import KUBE_PROXY
from kubectl_selfhost.controlplane.upgrade.records import version_in, with_version
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step
from kubectl_selfhost.names import KUBEADM_CONFIG, NAMESPACE

KEY = "ClusterConfiguration"
#: The binding by which an API server may ask kubelets for logs and exec, also if its client certificate
#: names no group. kubeadm makes it since 1.33.13, 1.35.5 and 1.36.1.
BINDING = "kubeadm:apiserver-kubelet-client"
_BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": BINDING},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "system:kubelet-api-admin",
    },
    "subjects": [
        {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "User",
            "name": "kube-apiserver-kubelet-client",
        }
    ],
}


class RecordSteps:
    """The steps of the bookkeeping for ``target``."""

    def __init__(
        self, cluster: Cluster, target: Target, *, timeout: float, observer: Observer
    ) -> None:
        self._cluster = cluster
        self._target = target
        self._timeout = timeout
        self._observer = observer

    def all(self) -> list[Step]:
        """Return the steps in their order."""
        return [self.binding(), self.configuration(), self.kube_proxy()]

    def binding(self) -> Step:
        return Step(
            name="kubelet-binding",
            title=f"Create ClusterRoleBinding {BINDING}",
            why="kubeadm's newer certificates name no group by which an API server may ask kubelets",
            done=self._is_bound,
            do=self._bind,
        )

    def _is_bound(self) -> bool:
        try:
            return self._cluster.find(CLUSTER_ROLE_BINDINGS, BINDING) is not None
        except Forbidden:
            return False

    def _bind(self) -> None:
        try:
            self._cluster.create(CLUSTER_ROLE_BINDINGS, deepcopy(_BINDING))
        except AlreadyExists:
            return
        except (Forbidden, Rejected) as error:
            self._observer.warning(
                f"ClusterRoleBinding {BINDING} is not created: {error.detail or error.message} A "
                f"cluster-admin creates it with `kubectl create clusterrolebinding {BINDING} "
                "--clusterrole=system:kubelet-api-admin --user=kube-apiserver-kubelet-client`"
            )

    def configuration(self) -> Step:
        return Step(
            name=KUBEADM_CONFIG,
            title=f"Write {self._target.version} into kubeadm's ConfigMap {KUBEADM_CONFIG}",
            why="kubeadm's join, upgrade and certs read the version there",
            done=self._is_written,
            do=self._write,
        )

    def _is_written(self) -> bool:
        return version_in(self._configuration()) in ("", str(self._target.version))

    def _configuration(self) -> str:
        """Return the text of the ClusterConfiguration; empty without one that names a version."""
        found = self._cluster.find(CONFIGMAPS, KUBEADM_CONFIG, NAMESPACE) or {}
        text = str((found.get("data") or {}).get(KEY, ""))
        return text if version_in(text) else ""

    def _write(self) -> None:
        found = self._cluster.get(CONFIGMAPS, KUBEADM_CONFIG, NAMESPACE)
        self._cluster.patch(
            CONFIGMAPS,
            KUBEADM_CONFIG,
            {
                "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
                "data": {KEY: with_version(found["data"][KEY], str(self._target.version))},
            },
            NAMESPACE,
        )

    def kube_proxy(self) -> Step:
        return Step(
            name="kube-proxy",
            title=f"Give DaemonSet {KUBE_PROXY} the image of {self._target.version}",
            why="kube-proxy follows the API server; its pods are replaced node by node",
            done=lambda: self._kube_proxy() is None,
            do=self._change_kube_proxy,
        )

    def _kube_proxy(self) -> dict | None:
        """Return kubeadm's DaemonSet with the target's image; None if there is nothing to change."""
        found = self._cluster.find(DAEMONSETS, KUBE_PROXY, NAMESPACE)
        if found is None:
            return None
        changed = deepcopy(found)
        for container in changed["spec"]["template"]["spec"]["containers"]:
            if container["name"] == KUBE_PROXY:
                container["image"] = self._target.image(KUBE_PROXY, container["image"])
        return changed if changed != found else None

    def _change_kube_proxy(self) -> None:
        changed = self._kube_proxy()
        if changed is not None:
            self._cluster.replace(DAEMONSETS, changed)
        self.wait_for_kube_proxy()

    def wait_for_kube_proxy(self) -> None:
        """Wait until every node has its new kube-proxy. Raise TimedOut."""

        def check() -> bool:
            found = self._cluster.find(DAEMONSETS, KUBE_PROXY, NAMESPACE)
            if found is not None and not is_available(found):
                status = found.get("status") or {}
                raise Waiting(
                    f"{status.get('updatedNumberScheduled', 0)} of "
                    f"{status.get('desiredNumberScheduled', 0)} nodes have the new kube-proxy"
                )
            return True

        wait_until(
            check,
            what=f"DaemonSet {KUBE_PROXY} to be rolled out",
            timeout=self._timeout,
            tell=self._observer.step_waiting,
        )
