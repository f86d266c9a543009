"""The commands that a person can run on a node that has no API and no guardian."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.names import NODE_DIRECTORY

_SCRIPT = """\
# On the control-plane node, as root. The kubelet runs what is in its directory.
manifests={manifests}
kept={kept}
put() {{ # a whole file or none: the kubelet passes over names that begin with a dot
  cp "$1" "$manifests/.$2.part" && mv "$manifests/.$2.part" "$manifests/$2"
}}
for c in {components}; do
  if [ -f "$kept/recovery/$c.yaml" ]; then # shares its port with the DaemonSet's pod
    put "$kept/recovery/$c.yaml" "kubectl-selfhost-recovery-$c.yaml"
  elif [ -f "$kept/$c/$c.yaml" ]; then # the manifest from before the pivot
    put "$kept/$c/$c.yaml" "$c.yaml"
  else
    echo "nothing is kept of $c in $kept" >&2
  fi
done
# Then look: kubectl selfhost status. When the DaemonSets' pods are Ready, and no guardian takes the
# copies away by itself:
#   rm {manifests}/kubectl-selfhost-recovery-*.yaml
"""


def script(static_pod_path: str) -> str:
    """Return shell lines that bring the API back; ``static_pod_path`` is the kubelet's directory."""
    path = static_pod_path.rstrip("/")
    return _SCRIPT.format(
        manifests=shlex.quote(path),
        kept=shlex.quote(str(PurePosixPath(path).parent / NODE_DIRECTORY)),
        components=" ".join(c.name for c in COMPONENTS),
    )
