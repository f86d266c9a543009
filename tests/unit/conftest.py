"""Manifests that kubeadm wrote, their mirror pods, and a server that behaves as badly as asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from fakes.bad_server import Certificates, Server, TokenLogin, make_certificate, openssl

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.connection.transport import Transport
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts

DATA = Path(__file__).parent / "controlplane" / "data"
VERSIONS = ("1.20", "1.30", "1.34", "1.37")
EVERY = [(version, component) for version in VERSIONS for component in COMPONENTS]

Read = Callable[[str, Component], dict]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``version`` and ``component`` for each manifest that there is."""
    if {"version", "component"} <= set(metafunc.fixturenames):
        ids = [f"{version}-{component}" for version, component in EVERY]
        metafunc.parametrize(("version", "component"), EVERY, ids=ids)


@pytest.fixture
def manifest() -> Read:
    """Return a function that reads a manifest as kubeadm wrote it."""
    return lambda version, component: yaml.safe_load(
        (DATA / f"kubeadm-{version}" / f"{component}.yaml").read_text()
    )


@pytest.fixture
def mirror() -> Read:
    """Return a function that reads a mirror pod as the API server showed it."""
    return lambda version, component: json.loads(
        (DATA / f"kubeadm-{version}" / f"{component}.mirror.json").read_text()
    )


@pytest.fixture
def agent() -> AgentFacts:
    return AgentFacts(
        "amd64", "kubectl-selfhost-agent-0123456789", "/etc/kubernetes/kubectl-selfhost"
    )


@pytest.fixture
def node() -> NodeFacts:
    """Return the node of the 1.30 manifests."""
    return NodeFacts("cp-1", "10.0.0.11", "10.0.0.11", "amd64")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("certificates")
    openssl(
        *(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test-ca",
        ),
        *("-keyout", "ca-key.pem", "-out", "ca.pem"),
        cwd=directory,
    )
    make_certificate(directory, "server", names="IP:127.0.0.1,DNS:api.test")
    make_certificate(directory, "client")
    return Certificates(directory)


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Server]:
    made = Server(certificates)
    yield made
    made.stop()


@pytest.fixture
def login(server: Server, certificates: Certificates) -> TokenLogin:
    return TokenLogin(server.port, ca=certificates.ca)


@pytest.fixture
def transport(login: TokenLogin) -> Transport:
    return Transport(login)


@pytest.fixture
def cluster(transport: Transport) -> Cluster:
    return Cluster(transport, context="here", user="tester", timeout=2.0, reading_patience=0.0)
