"""Ways to make a pivot fail, by means that a real cluster has.

Admission policies spoil the pods here, as a company's policy engine would; nothing in the plugin
knows of these tests.
"""

from __future__ import annotations

import json

import yaml

NO_SUCH_IMAGE = "registry.example.invalid/no-such-image:v1"


def spoil_pods(component: str, patches: list[dict]) -> str:
    """Return manifests of a MutatingAdmissionPolicy that applies JSON patches to the component's
    pods.

    The policy matches only pods of the plugin's DaemonSet, and only as they are created.
    """
    name = f"spoil-{component}"
    operations = ", ".join(
        f'JSONPatch{{op: "{p["op"]}", path: "{p["path"]}", value: {json.dumps(p["value"])}}}'
        for p in patches
    )
    is_ours = (
        "has(object.metadata.labels) && 'k8s-app' in object.metadata.labels && "
        f"object.metadata.labels['k8s-app'] == 'self-hosted-{component}'"
    )
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": _pods_created(),
            "matchConditions": [{"name": "ours", "expression": is_ours}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [
                {"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{operations}]"}}
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name},
    }
    return yaml.safe_dump_all([policy, binding])


def bad_flag(component: str) -> str:
    """Return manifests with which the component exits at once."""
    return spoil_pods(
        component,
        [{"op": "add", "path": "/spec/containers/0/command/-", "value": "--no-such-flag"}],
    )


def never_ready(component: str) -> str:
    """Return manifests with which the component runs, and its startup probe never passes (the
    component may have no readiness probe).
    """
    return spoil_pods(
        component,
        [
            {
                "op": "replace",
                "path": "/spec/containers/0/startupProbe/httpGet/path",
                "value": "/no-such-path",
            },
        ],
    )


def unpullable(component: str) -> str:
    """Return manifests with which no container of the pod has an image that the node has, or could
    pull.
    """
    return spoil_pods(
        component,
        [
            {"op": "replace", "path": "/spec/containers/0/image", "value": NO_SUCH_IMAGE},
            {"op": "replace", "path": "/spec/initContainers/0/image", "value": NO_SUCH_IMAGE},
        ],
    )


def refuse_controllers_pods(component: str) -> str:
    """Return manifests of a policy that refuses the component's pods when a controller makes them.

    The policy doesn't refuse a person's dry run, so the pre-flight check can't find it.
    """
    name = f"refuse-{component}"
    allowed = (
        "!request.userInfo.username.endsWith(':daemon-set-controller') || "
        "!has(object.metadata.labels) || !('k8s-app' in object.metadata.labels) || "
        f"object.metadata.labels['k8s-app'] != 'self-hosted-{component}'"
    )
    return _validating(name, allowed)


def refuse_privileged() -> str:
    """Return manifests of a policy that refuses every privileged pod, whoever makes it."""
    allowed = (
        "object.spec.containers.all(c, !has(c.securityContext) || "
        "!has(c.securityContext.privileged) || !c.securityContext.privileged)"
    )
    return _validating("refuse-privileged", allowed)


def _validating(name: str, allowed: str) -> str:
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": _pods_created(),
            "validations": [{"expression": allowed, "message": f"{name}: the company says no"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    return yaml.safe_dump_all([policy, binding])


def _pods_created() -> dict:
    return {
        "resourceRules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
            }
        ]
    }
