from __future__ import annotations

import subprocess
import sys


def test_connecting_does_not_load_the_packages_models() -> None:
    """Each costs time at every start; there are some 700."""
    code = (
        "import sys\n"
        "from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect\n"
        "try:\n"
        "    connect(ConnectionOptions(kubeconfig='/no/such/kubeconfig'))\n"
        "except Exception as error:\n"
        "    print(error)\n"
        "models = [name for name in sys.modules if name.startswith('kubernetes.client.models')]\n"
        "print(len(models))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "There is no kubeconfig /no/such/kubeconfig.\n1\n"


def test_a_package_that_is_loaded_already_is_left_alone() -> None:
    code = (
        "import kubernetes\n"
        "from kubectl_selfhost.cluster import lean\n"
        "lean.prepare()\n"
        "print(kubernetes.client.V1Pod.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "V1Pod\n"


def test_help_needs_none_of_it() -> None:
    code = (
        "import sys\n"
        "import kubectl_selfhost.cluster.client, kubectl_selfhost.cluster.kubeconfig\n"
        "import kubectl_selfhost.engine.lease, kubectl_selfhost.probe.prober\n"
        "print([name for name in ('kubernetes', 'yaml', 'urllib3', 'requests', 'websocket')"
        " if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
