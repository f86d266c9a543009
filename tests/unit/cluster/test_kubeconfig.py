from __future__ import annotations

import base64
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.bad_server import Certificates, Reply, Server, status

from kubectl_selfhost.cluster.errors import BadConfig, Unauthorized, Unreachable
from kubectl_selfhost.cluster.kinds import NODES
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def _a_clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", *PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def config(
    *, clusters: Any = None, users: Any = None, contexts: Any = None, current: str = ""
) -> dict[str, Any]:
    """Return a kubeconfig from ``{name: entry}`` each."""

    def entries(inner: str, by_name: Any) -> list[dict[str, Any]]:
        return [{"name": name, inner: entry} for name, entry in (by_name or {}).items()]

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": entries("cluster", clusters),
        "users": entries("user", users),
        "contexts": entries("context", contexts),
        "current-context": current,
    }


def write(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


class Bench:
    """A kubeconfig for the test's server, and what came of it."""

    def __init__(self, server: Server, certificates: Certificates, directory: Path) -> None:
        self.server, self.directory = server, directory
        self.cluster = {
            "server": f"https://127.0.0.1:{server.port}",
            "certificate-authority-data": data(certificates.ca),
        }

    def path(self, user: dict[str, Any], **cluster: Any) -> str:
        return write(
            self.directory / "config",
            config(
                clusters={"c": {**self.cluster, **cluster}},
                users={"u": user},
                contexts={"x": {"cluster": "c", "user": "u"}},
                current="x",
            ),
        )

    def get(self, user: dict[str, Any], options: Any = None, **cluster: Any) -> Any:
        """Return the request that a get with this user made."""
        path = self.path(user, **cluster)
        connect(ConnectionOptions(kubeconfig=path, **(options or {}))).get(NODES, "n")
        return self.server.requests[-1]


@pytest.fixture
def bench(server: Server, certificates: Certificates, tmp_path: Path) -> Bench:
    return Bench(server, certificates, tmp_path)


def two_files(tmp_path: Path) -> list[str]:
    """Return two files that both define context and user ``same``."""
    server = {"server": "https://one.test"}
    other = {"server": "https://two.test"}
    one = config(
        clusters={"c": server},
        users={"same": {"token": "first"}},
        contexts={"same": {"cluster": "c", "user": "same"}},
        current="same",
    )
    two = config(
        clusters={"c": other, "d": other},
        users={"same": {"token": "second", "as": "nobody"}, "own": {"token": "own"}},
        contexts={"same": {"cluster": "d", "user": "own"}, "two": {"cluster": "d", "user": "own"}},
        current="two",
    )
    return [write(tmp_path / "a" / "one", one), write(tmp_path / "b" / "two", two)]


def test_no_kubeconfig_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        BadConfig, match=f"There is no kubeconfig at {tmp_path}/home/.kube/config"
    ) as caught:
        connect()
    assert "--kubeconfig" in caught.value.hint


def test_the_home_directory_is_looked_at(tmp_path: Path) -> None:
    [one, _] = two_files(tmp_path)
    write(tmp_path / "home" / ".kube" / "config", Path(one).read_text())
    assert connect().server == "https://one.test"


def test_the_first_of_several_files_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = two_files(tmp_path)
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([*files, str(tmp_path / "absent")]))
    cluster = connect()
    assert (cluster.server, cluster.context, cluster.user) == ("https://one.test", "same", "same")
    assert cluster.transport.login.authorization() == "Bearer first"


def test_later_files_add_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(two_files(tmp_path)))
    cluster = connect(ConnectionOptions(context="two"))
    assert (cluster.server, cluster.user) == ("https://two.test", "own")


def test_the_environment_is_read_at_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = two_files(tmp_path)
    monkeypatch.setenv("KUBECONFIG", one)
    connect()
    monkeypatch.setenv("KUBECONFIG", two)
    assert connect().server == "https://two.test"


def test_the_flag_overrules_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = two_files(tmp_path)
    monkeypatch.setenv("KUBECONFIG", one)
    assert connect(ConnectionOptions(kubeconfig=two)).server == "https://two.test"


def test_cluster_and_user_overrule_the_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(two_files(tmp_path)))
    cluster = connect(ConnectionOptions(cluster="d", user="own"))
    assert (cluster.server, cluster.user, cluster.context) == ("https://two.test", "own", "same")


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        ({"context": "nine"}, "no context nine", "same, two"),
        ({"cluster": "nine"}, "no cluster nine", "c, d"),
        ({"user": "nine"}, "no user nine", "own, same"),
    ],
)
def test_what_is_absent_is_named_with_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, said: str, hint: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(two_files(tmp_path)))
    with pytest.raises(BadConfig, match=said) as caught:
        connect(ConnectionOptions(**options))
    assert hint in caught.value.hint


def test_no_current_context_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "f", config(contexts={"x": {"cluster": "c"}}))
    with pytest.raises(BadConfig, match="No context is chosen") as caught:
        connect(ConnectionOptions(kubeconfig=path))
    assert "x" in caught.value.hint


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="There is no kubeconfig"):
        connect(ConnectionOptions(kubeconfig=str(tmp_path / "absent")))


def test_broken_yaml_is_said_without_quoting_it(tmp_path: Path) -> None:
    path = write(tmp_path / "f", "users:\n- name: u\n  user: {token: s3cret\n")
    with pytest.raises(BadConfig, match="is not YAML at line") as caught:
        connect(ConnectionOptions(kubeconfig=path))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", ["- a list\n", "just text\n", "clusters: [{}]\n", "users: 3\n"])
def test_what_is_no_kubeconfig_is_said_so(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "f", content)
    with pytest.raises(BadConfig, match="is not a kubeconfig"):
        connect(ConnectionOptions(kubeconfig=path))


def test_an_empty_file_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = write(tmp_path / "empty", "")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([empty, *two_files(tmp_path)]))
    assert connect().server == "https://one.test"


def test_paths_are_relative_to_their_file(
    bench: Bench, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(certificates.ca.read_bytes())
    (tmp_path / "token").write_text("from-the-file\n")
    del bench.cluster["certificate-authority-data"]
    request = bench.get({"tokenFile": "token"}, **{"certificate-authority": "ca.crt"})
    assert request.header("Authorization") == "Bearer from-the-file"


def test_a_file_that_is_missing_is_named(bench: Bench) -> None:
    with pytest.raises(BadConfig, match=r"absent\.crt"):
        bench.get({"client-certificate": "absent.crt", "client-key": "absent.key"})


def test_a_client_certificate_is_shown(bench: Bench, certificates: Certificates) -> None:
    request = bench.get(
        {
            "client-certificate-data": data(certificates.client),
            "client-key-data": data(certificates.path("client-key")),
        }
    )
    assert (("commonName", "client"),) in request.peer["subject"]


def test_keys_do_not_stay_on_the_disk(
    bench: Bench, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    user = {
        "client-certificate-data": data(certificates.client),
        "client-key-data": data(certificates.path("client-key")),
    }
    bench.get(user)
    assert list(temporary.iterdir()) == []


def test_a_password_is_sent(bench: Bench) -> None:
    request = bench.get({"username": "jane", "password": "pass"})
    assert request.header("Authorization") == "Basic amFuZTpwYXNz"


def test_no_user_at_all_is_anonymous(bench: Bench) -> None:
    assert bench.get({}).header("Authorization") == ""


def test_the_server_name_is_obeyed(bench: Bench) -> None:
    server = f"https://localhost:{bench.server.port}"
    bench.get({"token": "t"}, **{"server": server, "tls-server-name": "api.test"})


def test_skipping_the_verification_is_obeyed(bench: Bench) -> None:
    del bench.cluster["certificate-authority-data"]
    bench.get({"token": "t"}, **{"insecure-skip-tls-verify": True})


def test_the_kubeconfig_impersonates(bench: Bench) -> None:
    request = bench.get(
        {
            "token": "t",
            "as": "jane",
            "as-groups": ["a", "b"],
            "as-uid": "7",
            "as-user-extra": {"scopes": ["x"]},
        }
    )
    assert request.header("Impersonate-User") == "jane"
    assert request.headers["impersonate-group"] == ["a", "b"]
    assert request.header("Impersonate-Uid") == "7"
    assert request.header("Impersonate-Extra-scopes") == "x"


def test_the_flags_impersonate_instead(bench: Bench) -> None:
    options = {"as_user": "joe", "as_groups": ("c",)}
    request = bench.get({"token": "t", "as": "jane", "as-groups": ["a"]}, options)
    assert request.headers["impersonate-user"] == ["joe"]
    assert request.headers["impersonate-group"] == ["c"]


def test_a_group_without_a_user_is_refused(bench: Bench) -> None:
    with pytest.raises(BadConfig, match="needs a user"):
        bench.get({"token": "t"}, {"as_groups": ("c",)})


def test_the_request_timeout_is_obeyed(bench: Bench) -> None:
    bench.server.answer = lambda _: Reply(200, {}, after=2.0)
    with pytest.raises(Unreachable, match="no answer in time"):
        bench.get({"token": "t"}, {"request_timeout": 0.2})


def test_requests_are_logged_from_verbosity_six_on(bench: Bench) -> None:
    path = bench.path({"token": "t"})
    for verbosity, count in ((5, 0), (6, 1), (9, 1)):
        lines: list[str] = []
        connect(ConnectionOptions(kubeconfig=path, verbosity=verbosity), log=lines.append).get(
            NODES, "n"
        )
        assert len(lines) == count


def plugin(tmp_path: Path, script: str) -> str:
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return "./plugin"


def gives(status_: dict[str, Any]) -> str:
    said = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    return f"cat <<'EOF'\n{json.dumps({**said, 'status': status_})}\nEOF"


def calls(command: str, **more: Any) -> dict[str, Any]:
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": command, **more}}


def test_a_plugin_gives_a_token(bench: Bench, tmp_path: Path) -> None:
    command = plugin(tmp_path, gives({"token": "from-plugin"}))
    assert bench.get(calls(command)).header("Authorization") == "Bearer from-plugin"


def test_a_plugin_gives_a_certificate(
    bench: Bench, tmp_path: Path, certificates: Certificates
) -> None:
    given = {
        "clientCertificateData": certificates.client.read_text(),
        "clientKeyData": certificates.path("client-key").read_text(),
    }
    request = bench.get(calls(plugin(tmp_path, gives(given))))
    assert (("commonName", "client"),) in request.peer["subject"]


def test_a_plugin_gets_its_arguments_and_environment(bench: Bench, tmp_path: Path) -> None:
    script = """printf '{"apiVersion": "client.authentication.k8s.io/v1",
    "kind": "ExecCredential", "status": {"token": "%s-%s"}}' "$1" "$WHO" """
    user = calls(plugin(tmp_path, script), args=["a"], env=[{"name": "WHO", "value": "b"}])
    assert bench.get(user).header("Authorization") == "Bearer a-b"


def test_a_plugin_is_run_again_after_a_401(bench: Bench, tmp_path: Path) -> None:
    script = f"echo x >>{tmp_path}/count\n" + gives({"token": "same"})
    bench.server.answers = [status(401, "Unauthorized", "Unauthorized")]
    bench.get(calls(plugin(tmp_path, script)))
    assert (tmp_path / "count").read_text() == "x\nx\n"
    assert len(bench.server.requests) == 2


def test_a_401_that_stays_is_told(bench: Bench, tmp_path: Path) -> None:
    bench.server.answer = lambda _: status(401, "Unauthorized", "Unauthorized")
    with pytest.raises(Unauthorized):
        bench.get(calls(plugin(tmp_path, gives({"token": "t"}))))
    assert len(bench.server.requests) == 2


def test_a_token_that_expired_is_renewed(bench: Bench, tmp_path: Path) -> None:
    script = f"echo x >>{tmp_path}/count\n" + gives(
        {"token": "t", "expirationTimestamp": "2020-01-01T00:00:00Z"}
    )
    bench.get(calls(plugin(tmp_path, script)))
    assert (tmp_path / "count").read_text() == "x\nx\n"


def test_a_token_that_is_good_is_kept(bench: Bench, tmp_path: Path) -> None:
    script = f"echo x >>{tmp_path}/count\n" + gives(
        {"token": "t", "expirationTimestamp": "2999-01-01T00:00:00.123456789Z"}
    )
    cluster = connect(ConnectionOptions(kubeconfig=bench.path(calls(plugin(tmp_path, script)))))
    for _ in range(3):
        cluster.get(NODES, "n")
    assert (tmp_path / "count").read_text() == "x\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such account >&2; exit 3", "process returned 3. no such account"),
        ("echo nonsense", "failed to decode"),
        (gives({}), "neither a token nor a client certificate"),
        ('echo \'{"apiVersion": "x/v9", "kind": "ExecCredential", "status": {}}\'', "x/v9"),
    ],
)
def test_a_plugin_that_fails_is_told_in_words(
    bench: Bench, tmp_path: Path, script: str, said: str
) -> None:
    with pytest.raises(BadConfig, match=said) as caught:
        bench.get(calls(plugin(tmp_path, script), installHint="Install the cloud's tool."))
    assert "plugin" in caught.value.message
    assert caught.value.hint == "Install the cloud's tool."


def test_a_plugin_that_is_not_installed_gives_its_hint(bench: Bench) -> None:
    with pytest.raises(BadConfig, match="not installed") as caught:
        bench.get(calls("no-such-plugin-anywhere", installHint="Get it from the cloud."))
    assert caught.value.hint == "Get it from the cloud."


def test_a_token_file_is_read_again_after_a_401(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")

    def answer(request: Any) -> Reply:
        (tmp_path / "token").write_text("new")
        old = request.header("Authorization") == "Bearer old"
        return status(401, "Unauthorized", "Unauthorized") if old else Reply(200, {})

    bench.server.answer = answer
    assert bench.get({"tokenFile": "token"}).header("Authorization") == "Bearer new"
