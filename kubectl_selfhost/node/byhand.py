"""The shell commands for a node without API and without guardian."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.names import NODE_DIRECTORY

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


def script(static_pod_path: str) -> str:
    """Return shell commands that bring the API back; ``static_pod_path`` is the kubelet's directory."""
    path = static_pod_path.rstrip("/")
    return _SCRIPT.format(
        manifests=shlex.quote(path),
        kept=shlex.quote(str(PurePosixPath(path).parent / NODE_DIRECTORY)),
        components=" ".join(c.name for c in COMPONENTS),
    )
