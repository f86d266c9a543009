"""The list of verbs, from which the overview, the dispatch and the completion are made.

This module imports neither Typer nor the verbs: the overview must cost no more than
kubectl's own.
"""

from __future__ import annotations

from collections.abc import Iterable

PROGRAM = "kubectl selfhost"

#: Verb: (module, function, one line for the overview). A verb is a function with Typer's
#: annotations, in a file of its own; if it takes a ``connection``, it gets kubectl's own flags
#: (cli/options.py). Verbs of two words are a group.
VERBS = {
    "pivot": (
        "kubectl_selfhost.cli.verbs.pivot",
        "pivot",
        "Move the control plane from static pods into DaemonSets",
    ),
    "status": (
        "kubectl_selfhost.cli.verbs.status",
        "status",
        "Show what serves each component, and whether all is healthy",
    ),
    "rollout": (
        "kubectl_selfhost.cli.verbs.rollout",
        "rollout",
        "Change or restart self-hosted components",
    ),
    "upgrade": (
        "kubectl_selfhost.cli.verbs.upgrade",
        "upgrade",
        "Upgrade the control plane, or show to which version it may go",
    ),
    "sync": (
        "kubectl_selfhost.cli.verbs.sync",
        "sync",
        "Update the reboot recovery files to match what runs now",
    ),
    "credentials status": (
        "kubectl_selfhost.cli.verbs.credentials",
        "credentials_status",
        "Show which certificates are on the nodes, and until when they are valid",
    ),
    "credentials renew": (
        "kubectl_selfhost.cli.verbs.credentials",
        "credentials_renew",
        "Renew the certificates by the nodes' own kubeadm, and have them used",
    ),
    "credentials to-secrets": (
        "kubectl_selfhost.cli.verbs.secrets",
        "credentials_to_secrets",
        "Have the components read their credentials from Secrets",
    ),
    "credentials to-host": (
        "kubectl_selfhost.cli.verbs.secrets",
        "credentials_to_host",
        "Have the components read their credentials from the nodes' files again",
    ),
    "recover": (
        "kubectl_selfhost.cli.verbs.recover",
        "recover",
        "Print the commands that bring the API back on a node by hand",
    ),
    "revert": (
        "kubectl_selfhost.cli.verbs.revert",
        "revert",
        "Move the control plane from DaemonSets back into static pods",
    ),
    "probe": (
        "kubectl_selfhost.cli.verbs.probe",
        "probe",
        "Send requests to the API, and report what clients would have seen",
    ),
    "completion": (
        "kubectl_selfhost.cli.completion",
        "completion",
        "Print the completion script for kubectl, bash, zsh or fish",
    ),
    "version": ("kubectl_selfhost.cli.main", "print_version", "Print the version"),
}

#: The first words of the verbs that have two.
GROUPS = tuple(dict.fromkeys(verb.split()[0] for verb in VERBS if " " in verb))

_OVERVIEW = """\
Self-host a kubeadm control plane, and change it without losing requests.

kube-apiserver, kube-controller-manager and kube-scheduler become DaemonSets in
kube-system, one after the other, while the cluster runs. The node keeps the
manifest of each static pod. If the DaemonSet's pod does not serve in time, the
node itself puts the manifest back.

Available Commands:
{verbs}

Examples:
  # Show the plan: each step, and what clients miss meanwhile
  {program} pivot --dry-run=client

  # Show the plan, ask, and move the control plane into DaemonSets
  {program} pivot

  # Show what serves each component now
  {program} status

  # Measure for 5 minutes what clients see, from here and from a pod
  {program} probe --duration 5m --in-cluster

Usage:
  {program} COMMAND [options]

Use "{program} COMMAND --help" for a command's options.
"""


def overview() -> str:
    """Return the text of ``kubectl selfhost --help``."""
    return _OVERVIEW.format(verbs="\n".join(_lines(VERBS)), program=PROGRAM)


def overview_of(group: str) -> str:
    """Return the text of ``kubectl selfhost GROUP --help``."""
    lines = _lines([verb for verb in VERBS if verb.startswith(f"{group} ")])
    return "\n".join(
        [
            *(
                "Available Commands:",
                *lines,
                "",
                "Usage:",
                f"  {PROGRAM} {group} COMMAND [options]",
            ),
            *("", f'Use "{PROGRAM} {group} COMMAND --help" for a command\'s options.', ""),
        ]
    )


def _lines(verbs: Iterable[str]) -> list[str]:
    width = max(map(len, VERBS)) + 3
    return [f"  {verb:{width}}{VERBS[verb][2]}" for verb in verbs]


def version() -> str:
    """Return the text of ``kubectl selfhost --version``."""
    from kubectl_selfhost.version import __version__

    return f"kubectl-selfhost v{__version__}\n"
