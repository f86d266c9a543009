"""What clients see of a control plane while a test changes it, measured by a second probe.

The probe asks from outside the cluster. The probe also reads the EndpointSlices of the `kubernetes`
Service, and counts each moment at which they name no address. On a cluster of one node the probe asks
from a pod, too. On a cluster of several nodes, behind a load balancer, the test itself knocks at each
node's own address.
"""

from __future__ import annotations

import base64
import http.client
import json
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from bed.harness import Bed
from cluster import looks

#: Milliseconds of the median new connection: 10 on an idle 2-core machine.
BUSY = 60
#: Failures of clients on a busy machine: their time runs out, and nothing was refused.
SLOW = ("timeout", "not-sent", "http-500-etcd", "TimeoutError")
PROBES = "app.kubernetes.io/name=kubectl-selfhost-probe"


@dataclass
class Seen:
    """The content of a probe's document, once the probe has ended.

    On several nodes also new connections at each node's own address: how many there were, how many
    failed and why, and the longest gap.
    """

    document: dict = field(default_factory=dict)
    knocks: dict[str, Counter] = field(default_factory=dict)
    gaps: dict[str, float] = field(default_factory=dict)

    def failures(self) -> dict[str, dict[str, int]]:
        """Return failures by kind, of each kind of probe that had any, including those from the
        pod.

        On a machine that is too busy for ten answers a second over one connection, what falls due
        piles up until its time is over: slow answers are not lost answers. Several nodes keep the
        machine busy at each moment, and a client of theirs is told to come back later.
        """
        kinds = {one["name"]: one for one in self.document["kinds"]}
        busy = kinds["connect"]["latency"]["p50"] > BUSY
        if self.document.get("inCluster"):
            kinds["in-cluster"] = self.document["inCluster"]
        slow = (*SLOW, "retry-after") if self.knocks else SLOW if busy else ()
        found = {
            name: {h: count for h, count in one["failures"].items() if not h.startswith(slow)}
            for name, one in kinds.items()
        }
        return {name: failures for name, failures in found.items() if failures}


@contextmanager
def probed(bed: Bed) -> Iterator[Seen]:
    """Probe while the block runs: 50 new connections a second, also from a pod."""
    with _probing(bed, "--rate=50", "--in-cluster") as seen:
        looks.eventually(
            lambda: any(p["status"].get("phase") == "Running" for p in probe_pods(bed)),
            what="the probe's pod does not run",
        )
        yield seen
        _nothing_ends(bed)


@contextmanager
def probed_at_each_node(bed: Bed, folder: Path) -> Iterator[Seen]:
    """Probe while the block runs, through the load balancer and at each node's own address."""
    over, context = threading.Event(), _client_context(bed, folder)
    with _probing(bed, "--rate=20") as seen:
        threads = [
            threading.Thread(target=_knock, args=(_address(bed, node), context, seen, node, over))
            for node in bed.nodes
        ]
        time.sleep(3)
        for thread in threads:
            thread.start()
        try:
            yield seen
            _nothing_ends(bed)
        finally:
            over.set()
            for thread in threads:
                thread.join()


@contextmanager
def _probing(bed: Bed, *words: str) -> Iterator[Seen]:
    seen = Seen()
    with bed.popen("probe", "--duration=30m", "--output=json", *words) as probe:
        try:
            yield seen
            probe.send_signal(signal.SIGINT)
            out, err = probe.communicate(timeout=60)
            assert out, err
            seen.document = json.loads(out)
        except BaseException:
            probe.kill()
            raise


def _nothing_ends(bed: Bed) -> None:
    looks.eventually(lambda: looks.nothing_ends(bed), what="a former API server is still there")


def _knock(address: str, context: ssl.SSLContext, seen: Seen, node: str, over: threading.Event):
    """Make a new connection five times a second."""
    counts = seen.knocks[node] = Counter()
    last, longest = time.monotonic(), 0.0
    while not over.wait(0.2):
        try:
            connection = http.client.HTTPSConnection(address, 6443, timeout=5, context=context)
            connection.request("GET", "/api/v1/namespaces/default")
            how = str(connection.getresponse().status)
            connection.close()
        except OSError as error:
            how = type(error).__name__
        counts[how] += 1
        if how == "200":
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
    seen.gaps[node] = round(longest, 2)


def _address(bed: Bed, node: str) -> str:
    addresses = bed.get("node", node)["status"]["addresses"]
    return next(one["address"] for one in addresses if one["type"] == "InternalIP")


def _client_context(bed: Bed, folder: Path) -> ssl.SSLContext:
    """Return a TLS context with the credentials of the kubeconfig."""
    config = yaml.safe_load(bed.kubeconfig.read_text())
    user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    pem = folder / "client.pem"
    pem.write_bytes(
        b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
    )
    context.load_cert_chain(pem)
    return context


def probe_pods(bed: Bed) -> list[dict]:
    return looks.objects(bed, "pods", "-l", PROBES)


def nothing_is_lost(seen: Seen, *, ended: int = 1) -> None:
    """Check that clients lost no request, while ``ended`` API servers ended.

    A kind of probe keeps one connection. A request that a client sends on the kept connection just as
    the server closes the connection has no answer: at most one request for each server that ends.
    """
    print(json.dumps(seen.document))
    found = seen.failures()
    for kind in ("read", "write", "endpoints"):
        lost = found.pop(kind, {})
        assert sum(n for how, n in lost.items() if how != "retry-after") <= ended, (kind, lost)
    assert found == {}
    assert seen.document["watch"]["lost"] == 0
    assert seen.document["endpoints"]["empty"] == 0
    for node, counts in seen.knocks.items():
        print(node, dict(counts), f"longest gap {seen.gaps[node]} s")
        assert counts["200"] > 100
        assert not [how for how in counts if how != "200" and not how.startswith(SLOW)], counts
