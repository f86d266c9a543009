"""The kinds of object that the program uses, and their paths in the API.

A fixed list replaces discovery. Discovery costs round trips at each start, its cache is in files that
others can write, and it fails while a control plane changes hands.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Kind:
    """One kind: ``api_version`` as in a manifest, ``plural`` as in a path."""

    api_version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Return the API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def path(self, name: str | None = None, namespace: str | None = None) -> str:
        """Return the path of an object, or of the collection if ``name`` is None.

        For a namespaced kind without namespace, return the path of the collection over all
        namespaces.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.kind} has no namespace")
        if name is not None and self.namespaced and not namespace:
            raise ValueError(f"a {self.kind} needs a namespace")
        parts = ["apis" if self.group else "api", self.api_version]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        return "/" + "/".join(parts)


PODS = Kind("v1", "pods", "Pod")
NODES = Kind("v1", "nodes", "Node", namespaced=False)
CONFIGMAPS = Kind("v1", "configmaps", "ConfigMap")
SECRETS = Kind("v1", "secrets", "Secret")
SERVICES = Kind("v1", "services", "Service")
EVENTS = Kind("v1", "events", "Event")
DAEMONSETS = Kind("apps/v1", "daemonsets", "DaemonSet")
DEPLOYMENTS = Kind("apps/v1", "deployments", "Deployment")
LEASES = Kind("coordination.k8s.io/v1", "leases", "Lease")
ENDPOINTSLICES = Kind("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
CUSTOM_RESOURCES = Kind(
    "apiextensions.k8s.io/v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
CLUSTER_ROLE_BINDINGS = Kind(
    "rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
MUTATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io/v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io/v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
SELF_SUBJECT_ACCESS_REVIEWS = Kind(
    "authorization.k8s.io/v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    namespaced=False,
)
SELF_SUBJECT_REVIEWS = Kind(
    "authentication.k8s.io/v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)

#: By (apiVersion, kind), to find the place of a manifest.
KINDS: dict[tuple[str, str], Kind] = {
    (kind.api_version, kind.kind): kind for kind in list(globals().values()) if type(kind) is Kind
}


def kind_of(manifest: dict[str, object]) -> Kind:
    """Return the kind of ``manifest``; raise KeyError for an unknown kind."""
    return KINDS[str(manifest["apiVersion"]), str(manifest["kind"])]
