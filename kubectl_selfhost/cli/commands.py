"""The list of verbs, from which the overview, the dispatch and the completion are made.

This module imports nothing, neither Typer nor the verbs: the overview must cost no more than
kubectl's own.
"""

from __future__ import annotations

PROGRAM = "kubectl selfhost"

#: Verb: (module, function, one line for the overview). A verb is a function with Typer's
#: annotations, in a file of its own; if it takes a ``connection``, it gets kubectl's own flags
#: (cli/options.py).
VERBS = {
    "pivot": (
        "kubectl_selfhost.cli.verbs.pivot",
        "pivot",
        "Move the control plane from static pods into DaemonSets",
    ),
    "status": (
        "kubectl_selfhost.cli.verbs.status",
        "status",
        "Show who serves each component, and whether all is well",
    ),
    "rollout": (
        "kubectl_selfhost.cli.verbs.rollout",
        "rollout",
        "Replace the pods of self-hosted components, changed or not",
    ),
    "sync": (
        "kubectl_selfhost.cli.verbs.sync",
        "sync",
        "Have a reboot bring back what runs now: the guardian and its copies",
    ),
    "recover": (
        "kubectl_selfhost.cli.verbs.recover",
        "recover",
        "Print what brings the API back on a node, by hand and without any API",
    ),
    "revert": (
        "kubectl_selfhost.cli.verbs.revert",
        "revert",
        "Move the control plane back into static pods, as kubeadm has it",
    ),
    "probe": (
        "kubectl_selfhost.cli.verbs.probe",
        "probe",
        "Ask the API all the time, and tell what clients would have seen",
    ),
    "completion": (
        "kubectl_selfhost.cli.completion",
        "completion",
        "Print the completion script for kubectl, bash, zsh or fish",
    ),
    "version": ("kubectl_selfhost.cli.main", "print_version", "Print the version"),
}

_OVERVIEW = """\
Self-host a kubeadm control plane, and look after it from then on.

 kube-apiserver, kube-controller-manager and kube-scheduler become DaemonSets in
kube-system, one after the other, while the cluster runs. A static pod's file is
kept, and comes back by itself unless its successor is seen to serve.

Available Commands:
{verbs}

Examples:
  # What would be done, and what it would mean
  {program} pivot --dry-run=client

  # Do it
  {program} pivot

  # Who serves what now?
  {program} status

  # What do clients see, also those in the cluster, while something is done to it?
  {program} probe --duration 5m --in-cluster

Usage:
  {program} COMMAND [options]

Use "{program} COMMAND --help" for a command's options.
"""


def overview() -> str:
    """Return the text of ``kubectl selfhost --help``."""
    width = max(map(len, VERBS)) + 3
    lines = [f"  {verb:{width}}{line}" for verb, (_, _, line) in VERBS.items()]
    return _OVERVIEW.format(verbs="\n".join(lines), program=PROGRAM)


def version() -> str:
    """Return the text of ``kubectl selfhost --version``."""
    from kubectl_selfhost.version import __version__

    return f"kubectl-selfhost v{__version__}\n"
