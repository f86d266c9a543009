"""From kubectl's flags, environment and files to a Cluster, by kubectl's own rules.

The kubernetes package reads and merges the files. Where the package differs from kubectl, this
module follows kubectl: it reads the environment at each call, not at import. The first
current-context counts, not the last. --cluster and --user override a context. It obeys proxy-url,
--as, and a user's ``as``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kubectl_selfhost.cluster import lean
from kubectl_selfhost.cluster.connection.login import Chosen, FromKubeconfig, InCluster, Login
from kubectl_selfhost.cluster.errors import BadConfig

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

DEFAULT_TIMEOUT = 10.0
_REQUESTS_FROM = 6


@dataclass(frozen=True)
class ConnectionOptions:
    """The flags of kubectl that this program has. Empty or None: not given.

    ``request_timeout`` is in seconds, for each single request; 0 and None mean the default of 10.
    """

    kubeconfig: str | None = None
    context: str | None = None
    cluster: str | None = None
    user: str | None = None
    as_user: str | None = None
    as_groups: tuple[str, ...] = ()
    as_uid: str | None = None
    request_timeout: float | None = None
    verbosity: int = 0


def connect(
    options: ConnectionOptions | None = None, *, log: Callable[[str], None] | None = None
) -> Cluster:
    """Return the cluster that the options, KUBECONFIG or ~/.kube/config name.

    This sends nothing, but an exec credential plugin may run. ``log`` gets a line per request if
    options.verbosity is 6 or more (default: to stderr). Raise BadConfig.
    """
    # Not at the top: --help needs only the options, and this import takes a fifth of its time.
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.cluster.connection.transport import Transport

    lean.prepare()
    options = options or ConnectionOptions()
    files = _Files(options.kubeconfig)
    login: Login
    if not files.read and not _chosen_by_hand(options) and InCluster.possible():
        login, user = InCluster(), {}
        context, user_name = "in-cluster", "service account"
    else:
        chosen = choose(files, options)
        login, user = FromKubeconfig(chosen), chosen.user["user"]
        context, user_name = chosen.context, str(chosen.user["name"])
    transport = Transport(
        login,
        impersonate=impersonation(user, options),
        log=(log or _to_stderr) if options.verbosity >= _REQUESTS_FROM else None,
    )
    return Cluster(
        transport,
        context=context,
        user=user_name,
        timeout=options.request_timeout or DEFAULT_TIMEOUT,
    )


def _to_stderr(line: str) -> None:
    import sys

    sys.stderr.write(f"{line}\n")


def _chosen_by_hand(options: ConnectionOptions) -> bool:
    return bool(options.kubeconfig or options.context or options.cluster or options.user)


class _Files:
    """The kubeconfig files that --kubeconfig (``explicit``) or KUBECONFIG names, or the default.

    A missing file of KUBECONFIG is ignored; an explicit file must exist.
    """

    def __init__(self, explicit: str | None) -> None:
        from kubernetes.config.kube_config import KubeConfigMerger

        named = explicit or os.environ.get("KUBECONFIG") or "~/.kube/config"
        paths = [named] if explicit else [path for path in named.split(os.pathsep) if path]
        self.named = list(dict.fromkeys(os.path.expanduser(path) for path in paths))
        self.read: list[str] = []
        merger = KubeConfigMerger("")
        for path in self.named:
            if explicit or os.path.exists(path):
                self._read(merger, path)
        merged = merger.config.value if merger.config is not None else {}
        self.contexts = self._by_name(merged.get("contexts"))
        self.clusters = self._by_name(merged.get("clusters"))
        self.users = self._by_name(merged.get("users"))
        said = (one.get("current-context") for one in merger.config_files.values())
        self.current_context = next((str(name) for name in said if name), "")

    def _read(self, merger: Any, path: str) -> None:
        import yaml
        from kubernetes.config.config_exception import ConfigException

        try:
            merger.load_config(path)
        except ConfigException:
            pass  # an empty file: nothing to add
        except FileNotFoundError as error:
            raise BadConfig(f"There is no kubeconfig {path}.") from error
        except OSError as error:
            raise BadConfig(f"The kubeconfig {path} can't be read: {error.strerror}.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            # Not the error's own text: it quotes the file, which holds secrets.
            mark = getattr(error, "problem_mark", None)
            where = f" at line {mark.line + 1}" if mark else ""
            raise BadConfig(f"The kubeconfig {path} is not YAML{where}.") from None
        except (AttributeError, KeyError, TypeError) as error:
            raise BadConfig(f"The file {path} is not a kubeconfig.") from error
        self.read.append(path)

    def _by_name(self, items: Any) -> dict[str, Any]:
        if any(not item.value.get("name") for item in items or []):
            raise BadConfig(f"One of {self} is not a kubeconfig: an entry has no name.")
        return {str(item["name"]): item for item in items or []}

    def __str__(self) -> str:
        return ", ".join(self.read or self.named)


def choose(files: _Files, options: ConnectionOptions) -> Chosen:
    """Return the context's cluster and user; the flags override them. Raise BadConfig."""
    from kubernetes.config.kube_config import ConfigNode

    name = options.context or files.current_context
    context: Mapping[str, Any] = {}
    if name in files.contexts:
        context = files.contexts[name].value.get("context") or {}
    elif options.context or (name and not options.cluster):
        raise _absent("context", name, files.contexts, files)
    cluster_name = options.cluster or str(context.get("cluster") or "")
    user_name = options.user or str(context.get("user") or "")
    if not cluster_name:
        raise _nothing_chosen(files)
    cluster = files.clusters.get(cluster_name)
    if cluster is None or not (cluster.value.get("cluster") or {}).get("server"):
        raise _absent("cluster", cluster_name, files.clusters, files)
    if user_name and user_name not in files.users:
        raise _absent("user", user_name, files.users, files)
    user = files.users.get(user_name)
    if user is None or not user.value.get("user"):
        user = ConfigNode("user", {"name": user_name, "user": {"name": user_name}}, None)
    return Chosen(context=name, cluster=cluster, user=user)


def _nothing_chosen(files: _Files) -> BadConfig:
    if not files.read:
        return BadConfig(
            f"There is no kubeconfig at {files}.",
            "Name one with --kubeconfig or KUBECONFIG; on a kubeadm node: "
            "/etc/kubernetes/admin.conf.",
        )
    names = ", ".join(sorted(files.contexts)) or "none"
    return BadConfig(
        f"No context is chosen in {files}.",
        "Choose a context with --context or `kubectl config use-context`. The kubeconfig has: "
        f"{names}.",
    )


def _absent(what: str, name: str, there: Mapping[str, Any], files: _Files) -> BadConfig:
    names = ", ".join(sorted(there)) or "none"
    return BadConfig(
        f"There is no {what} {name} in {files}.", f"The kubeconfig has these {what}s: {names}."
    )


def impersonation(user: Any, options: ConnectionOptions) -> list[tuple[str, str]]:
    """Return the Impersonate headers: from the flags, or else from the kubeconfig's user."""
    extra: Mapping[str, Any] = {}
    if options.as_user or options.as_groups or options.as_uid:
        name, groups, uid = options.as_user, list(options.as_groups), options.as_uid
    else:
        data = getattr(user, "value", user)
        name, groups = data.get("as"), data.get("as-groups") or []
        uid, extra = data.get("as-uid"), data.get("as-user-extra") or {}
    if (groups or uid or extra) and not name:
        raise BadConfig("--as-group needs a user, too.", "Add --as=NAME.")
    headers = [("Impersonate-User", str(name))] if name else []
    headers += [("Impersonate-Group", str(group)) for group in groups]
    headers += [("Impersonate-Uid", str(uid))] if uid else []
    for key, values in extra.items():
        headers += [(f"Impersonate-Extra-{quote(str(key))}", str(value)) for value in values]
    return headers
