from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from bad_server import Certificates, Server, TokenLogin, make_certificate, openssl

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.transport import Transport


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
