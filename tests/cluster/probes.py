"""What clients see of a control plane while a test changes it, measured by a second probe.

The probe asks from outside the cluster and from a pod. The probe also reads the EndpointSlices of the
`kubernetes` Service, and counts each moment at which they name no address.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cluster import looks

#: Milliseconds of the median new connection: 10 on an idle 2-core machine.
BUSY = 60
PROBES = "app.kubernetes.io/name=kubectl-selfhost-probe"


class Seen:
    """The content of a probe's document, once the probe has ended."""

    document: dict

    def failures(self) -> dict[str, dict[str, int]]:
        """Return failures by kind, of each kind of probe that had any, including those from the
        pod.

        On a machine that is too busy for ten answers a second over one connection, what falls due
        piles up until its time is over: slow answers are not lost answers.
        """
        kinds = {one["name"]: one for one in self.document["kinds"]}
        kinds["in-cluster"] = self.document["inCluster"]
        busy = kinds["connect"]["latency"]["p50"] > BUSY
        slow = ("timeout", "not-sent", "http-500-etcd") if busy else ()
        found = {
            name: {h: count for h, count in one["failures"].items() if not h.startswith(slow)}
            for name, one in kinds.items()
        }
        return {name: failures for name, failures in found.items() if failures}


@contextmanager
def probed(bed) -> Iterator[Seen]:
    """Probe while the block runs: 50 new connections a second, also from a pod."""
    seen = Seen()
    words = ("probe", "--rate=50", "--duration=10m", "--in-cluster", "--output=json")
    probe = bed.popen(*words)
    try:
        looks.eventually(
            lambda: any(p["status"].get("phase") == "Running" for p in probe_pods(bed)),
            what="the probe's pod does not run",
        )
        yield seen
        looks.eventually(lambda: looks.nothing_ends(bed), what="a former API server is still there")
        probe.send_signal(signal.SIGINT)
        out, err = probe.communicate(timeout=60)
        assert out, err
        seen.document = json.loads(out)
    except BaseException:
        probe.kill()
        raise


def probe_pods(bed) -> list[dict]:
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
