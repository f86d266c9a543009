"""Pods that nobody thought of: kubeadm's own, patched at random as people patch them."""

from __future__ import annotations

import string
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_selfhost.controlplane.component import COMPONENTS


def for_any(*strategies: st.SearchStrategy) -> Callable[[Callable], Callable]:
    """Run a test with what ``strategies`` draw; without a deadline, for CI machines are slow."""
    return lambda test: settings(max_examples=40, deadline=None)(given(*strategies)(test))


names = st.text(string.ascii_lowercase, min_size=1, max_size=6)
words = st.text(string.ascii_letters + "-=./ ", max_size=8)


def optional(**fields: st.SearchStrategy) -> st.SearchStrategy[dict]:
    """Return a strategy for a mapping with some of ``fields``."""
    return st.fixed_dictionaries({}, optional=fields)


http_gets = st.builds(
    lambda fixed, more: {**fixed, **more},
    st.fixed_dictionaries({"port": st.sampled_from([6443, 10257, 8080, "web"])}),
    optional(path=st.sampled_from(["/", "/livez"]), scheme=st.sampled_from(["HTTP", "HTTPS"])),
)
probes = st.builds(
    lambda action, more: {**action, **more},
    st.one_of(
        st.builds(lambda get: {"httpGet": get}, http_gets),
        st.just({"tcpSocket": {"port": "web"}}),
        st.just({"exec": {"command": ["true"]}}),
        st.just({"grpc": {"port": 9, "service": ""}}),
    ),
    optional(
        initialDelaySeconds=st.sampled_from([0, 10]),
        timeoutSeconds=st.sampled_from([1, 15]),
        periodSeconds=st.sampled_from([1, 10]),
        successThreshold=st.sampled_from([1, 2]),
        failureThreshold=st.sampled_from([3, 8]),
    ),
)
variables = st.one_of(
    st.fixed_dictionaries({"name": names, "value": words}),
    st.builds(
        lambda name, more: {"name": name, "valueFrom": {"fieldRef": {"fieldPath": "x", **more}}},
        names,
        optional(apiVersion=st.just("v1")),
    ),
)
amounts = optional(cpu=st.sampled_from(["250m", "1"]), memory=st.sampled_from(["1Gi", "5Mi"]))
ports = st.builds(
    lambda name, more: {"name": name, "containerPort": 8080, **more},
    st.sampled_from(["web", "other"]),
    optional(hostPort=st.just(8080), protocol=st.sampled_from(["TCP", "UDP"])),
)
container_fields = optional(
    env=st.lists(variables, max_size=3, unique_by=lambda one: one["name"]),
    envFrom=st.just([{"prefix": "A_", "configMapRef": {"name": "a"}}]),
    imagePullPolicy=st.sampled_from(["IfNotPresent", "Always", "Never"]),
    lifecycle=st.builds(lambda probe: {"preStop": {"httpGet": probe}}, http_gets),
    livenessProbe=probes,
    ports=st.lists(ports, max_size=1),
    readinessProbe=probes,
    resources=optional(limits=amounts, requests=amounts),
    securityContext=optional(privileged=st.booleans(), runAsUser=st.sampled_from([0, 1000])),
    startupProbe=probes,
    stdin=st.booleans(),
    terminationMessagePath=st.sampled_from(["/dev/termination-log", "/x"]),
    terminationMessagePolicy=st.sampled_from(["File", "FallbackToLogsOnError"]),
    volumeMounts=st.just([{"name": "v", "mountPath": "/v", "readOnly": False}]),
    workingDir=st.sampled_from(["", "/x"]),
)


@st.composite
def containers(draw: st.DrawFn, name: str) -> dict:
    image = draw(
        st.sampled_from(["a/b:v1", "a/b", "a:5000/b:latest", "a/b@sha256:0", "b:latest@x"])
    )
    return {"name": name, "image": image, **draw(container_fields)}


volumes = st.one_of(
    st.builds(
        lambda more: {"hostPath": {"path": "/x", **more}},
        optional(type=st.sampled_from(["", "File"])),
    ),
    st.just({"emptyDir": {}}),
    st.just({"configMap": {"name": "a", "defaultMode": 0o644}}),
    st.just({"configMap": {"name": "a", "defaultMode": 0o755}}),
    st.just({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
    st.just({"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "x"}}]}}),
)
spec_fields = optional(
    dnsPolicy=st.sampled_from(["ClusterFirst", "Default"]),
    enableServiceLinks=st.booleans(),
    hostAliases=st.just([{"ip": "127.0.0.1", "hostnames": ["kubernetes"]}]),
    hostPID=st.booleans(),
    nodeSelector=st.just({"a": ""}),
    priority=st.just(2000001000),
    restartPolicy=st.just("Always"),
    securityContext=optional(runAsUser=st.sampled_from([0, 1000]), fsGroup=st.just(1)),
    terminationGracePeriodSeconds=st.sampled_from([30, 60]),
    tolerations=st.just([{"operator": "Exists", "effect": "NoExecute"}, {"key": "a"}]),
)


@st.composite
def static_pods(draw: st.DrawFn) -> dict:
    """Draw a static pod's manifest, of one of the components."""
    component = draw(st.sampled_from(COMPONENTS))
    main = draw(containers(component.name))
    flags = draw(st.lists(st.sampled_from(["--v=2", "--profiling=false", "--a=x"]), unique=True))
    main["command"] = [component.name, "--advertise-address=10.0.0.11", *flags]
    others = [draw(containers(name)) for name in draw(st.sets(names, max_size=2))]
    first = [draw(containers(f"init-{name}")) for name in draw(st.sets(names, max_size=1))]
    mounted = [{"name": name, **draw(volumes)} for name in draw(st.sets(names, max_size=3))]
    spec = {
        **draw(spec_fields),
        "containers": [main, *others],
        "hostNetwork": True,
        "initContainers": first,
        "priorityClassName": "system-node-critical",
        "volumes": mounted,
    }
    metadata = {
        "name": component.name,
        "namespace": "kube-system",
        "labels": {**component.labels, **draw(st.dictionaries(names, words, max_size=1))},
        "annotations": draw(st.dictionaries(names, words, max_size=1)),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}
