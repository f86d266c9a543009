"""A cluster in the hands of tests and benchmarks: kubectl, commands on a node, and the plugin
itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGIN_LIMIT = 600.0  # seconds; a run of the plugin that takes longer hangs


@dataclass(frozen=True)
class Result:
    """The end of a run of the plugin."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    def __str__(self) -> str:
        head = f"kubectl selfhost {' '.join(self.argv)}: exit {self.returncode}"
        return (
            f"{head} after {self.seconds:.1f} s\n-- stdout\n{self.stdout}\n-- stderr\n{self.stderr}"
        )


@dataclass(frozen=True)
class Bed:
    """A running cluster and the means to reach it."""

    name: str
    kubeconfig: Path
    kubectl_path: Path
    environment: dict[str, str] = field(default_factory=dict)  # for every run of the plugin

    @property
    def context(self) -> str:
        return f"kind-{self.name}"

    @property
    def nodes(self) -> list[str]:
        """Return the control-plane nodes, sorted: they have the same name in Kubernetes and in
        Docker.
        """
        label = f"label=io.x-k8s.kind.cluster={self.name}"
        role = "label=io.x-k8s.kind.role=control-plane"
        argv = ["docker", "ps", "--all", "--filter", label, "--filter", role]
        return sorted(_output([*argv, "--format", "{{.Names}}"]).split())

    @property
    def node(self) -> str:
        """Return the first control-plane node."""
        return self.nodes[0]

    def kubectl(self, *args: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """Run kubectl; return its stdout, raise AssertionError with its stderr."""
        argv = [str(self.kubectl_path), *args]
        return _output(argv, stdin=stdin, env=self._env({}), timeout=timeout)

    def get(self, *args: str) -> Any:
        """Return ``kubectl get ARGS`` as parsed JSON."""
        return json.loads(self.kubectl("get", *args, "--output=json"))

    def node_exec(self, *argv: str, node: str = "", stdin: str | None = None) -> str:
        """Run a command on a node (the first one by default); return its stdout."""
        return _output(["docker", "exec", "-i", node or self.node, *argv], stdin=stdin)

    def node_file(self, path: str, *, node: str = "") -> bytes:
        """Return a file's bytes, as they are on the node."""
        argv = ["docker", "exec", node or self.node, "cat", path]
        return subprocess.run(argv, check=True, capture_output=True).stdout

    def popen(
        self, *args: str, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen:
        """Start the plugin with pipes for stdout and stderr, and no stdin."""
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*plugin(), *args], **(given | {"text": True, "env": self._env(env or {})} | options)
        )

    def selfhost(
        self,
        *args: str,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = PLUGIN_LIMIT,
    ) -> Result:
        """Run ``kubectl selfhost ARGS``; with ``check`` an exit other than 0 is an AssertionError."""
        began = time.monotonic()
        pipe = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        with self.popen(*args, env=env, stdin=pipe) as child:
            try:
                out, err = child.communicate(stdin, timeout=timeout)
            except BaseException:
                child.kill()
                raise
        result = Result(args, child.returncode, out, err, time.monotonic() - began)
        assert not check or result.returncode == 0, str(result)
        return result

    def _env(self, extra: dict[str, str]) -> dict[str, str]:
        paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        own = {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECTL_PATH": str(self.kubectl_path),  # kubectl sets it for its plugins
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        return os.environ | own | self.environment | extra


def path_with_plugin(folder: Path, kubectl: Path) -> str:
    """Return a PATH on which ``kubectl selfhost`` is the bed's kubectl and the plugin that
    ``plugin`` names.

    ``folder`` gets the program that kubectl looks for.
    """
    program = folder / "kubectl-selfhost"
    command = plugin()
    if len(command) == 1:
        program.symlink_to(command[0])
    else:
        words = " ".join(f"'{word}'" for word in command)
        program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {words} "$@"\n')
        program.chmod(0o755)
    return os.pathsep.join([str(folder), str(kubectl.parent), os.environ["PATH"]])


def plugin() -> list[str]:
    """Return the plugin's command: this tree, or the program that KUBECTL_SELFHOST names."""
    packaged = os.environ.get("KUBECTL_SELFHOST")
    if packaged:
        return [str(Path(packaged).resolve())]
    return [sys.executable, "-m", "kubectl_selfhost"]


def _output(
    argv: list[str],
    *,
    stdin: str | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 120.0,
) -> str:
    done = subprocess.run(
        argv, input=stdin or "", env=env, timeout=timeout, capture_output=True, text=True
    )
    assert done.returncode == 0, (
        f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr}{done.stdout}"
    )
    return done.stdout
