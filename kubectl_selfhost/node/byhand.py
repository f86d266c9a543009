"""The shell commands for a node that serves no API, and that no guardian can help."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.credentials import CREDENTIALS
from kubectl_selfhost.names import NODE_DIRECTORY

#: The kernel keeps so many letters of a program's name (TASK_COMM_LEN less the end, proc(5)).
_COMM = 15

_SCRIPT = """\
# Run this on the control-plane node, as root. The kubelet runs the manifests in its directory.
manifests={manifests}
kept={kept}
put() {{ # a whole file or no file: the kubelet ignores names that begin with a dot
  cp "$1" "$manifests/.$2.part" && mv "$manifests/.$2.part" "$manifests/$2"
}}
for c in {components}; do
  if [ -f "$kept/recovery/$c.yaml" ]; then # the recovery copy, which shares its port
    put "$kept/recovery/$c.yaml" "kubectl-selfhost-recovery-$c.yaml"
  elif [ -f "$kept/$c/$c.yaml" ]; then # the manifest from before the pivot
    put "$kept/$c/$c.yaml" "$c.yaml"
  else
    echo "there is no manifest of $c in $kept" >&2
  fi
done
# Then run kubectl selfhost status. When the DaemonSets' pods are Ready, remove the recovery copies
# (a guardian removes them without help):
#   rm {manifests}/kubectl-selfhost-recovery-*.yaml
"""

_EXPIRED = """\
# Run this on the control-plane node, as root, if its certificates have expired. It needs no API.
kubeadm certs renew all || exit
# kube-apiserver and etcd read their new certificates within a minute. The others read theirs only when
# they start: they end here, and the kubelet restarts them.
for comm in /proc/[0-9]*/comm; do
  case $(cat "$comm" 2>/dev/null) in
    {names}) pid=${{comm#/proc/}}; kill "${{pid%/comm}}" ;;
  esac
done
# Then copy /etc/kubernetes/admin.conf to where you use kubectl, and let kubectl selfhost check all of it:
#   kubectl selfhost credentials status --on-nodes
# If the kubelet's own certificate has expired too (journalctl -u kubelet), renew it as the Kubernetes
# documentation says: "Troubleshooting kubeadm", "Kubelet client certificate rotation fails".
"""


def script_for_expired_certificates() -> str:
    """Return shell commands that renew expired certificates on a node.

    An API server whose certificate has expired still listens, so the guardian does nothing.
    """
    readers = list(dict.fromkeys(one.restarts.name for one in CREDENTIALS if one.restarts))
    return _EXPIRED.format(names="|".join(one[:_COMM] for one in readers))


def script(static_pod_path: str) -> str:
    """Return shell commands that bring the API back; ``static_pod_path`` is the kubelet's directory."""
    path = static_pod_path.rstrip("/")
    return _SCRIPT.format(
        manifests=shlex.quote(path),
        kept=shlex.quote(str(PurePosixPath(path).parent / NODE_DIRECTORY)),
        components=" ".join(c.name for c in COMPONENTS),
    )
