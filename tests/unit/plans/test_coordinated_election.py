"""Plans where the API server chooses the leaders (CoordinatedLeaderElection, Kubernetes 1.37).

The leases of that kind have a ``strategy``, and each process has a LeaseCandidate.
"""

from __future__ import annotations

import pytest
import yaml
from fakes.edge import Call
from fakes.runs import Run, Seen
from fakes.world import World

from kubectl_selfhost.controlplane.component import COMPONENTS, CONTROLLER_MANAGER, SCHEDULER
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.plans.pivot import prepare as pivoting
from kubectl_selfhost.plans.pivot.options import PivotOptions

GATE = "--feature-gates=CoordinatedLeaderElection=true"
LED = (CONTROLLER_MANAGER, SCHEDULER)


@pytest.fixture(params=[1, 3])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(nodes=request.param, monkeypatch=monkeypatch)
    for node in made.nodes:
        for component in COMPONENTS:
            pod = yaml.safe_load(node.manifests[f"{component}.yaml"])
            staticpod.component_container(pod)["command"].append(GATE)
            node.manifests[f"{component}.yaml"] = yaml.safe_dump(pod).encode()
    made.pass_time(60.0)
    for component in LED:
        lease = made.store.get("leases", str(component.lease), "kube-system")
        lease["spec"]["strategy"] = "OldestEmulationVersion"
    made.files = {node.name: dict(node.manifests) for node in made.nodes}
    made.changed.clear()
    made.empty_service = made.silent_api = 0.0
    return made


def of_leaders(call: Call) -> bool:
    names = tuple(f"/leases/{component.lease}" for component in LED)
    return call.path.endswith(names) or "leasecandidates" in call.path


@pytest.mark.parametrize("verb", ["rollout", "revert"])
def test_the_leases_are_left_to_the_api_server(world, verb):
    for each in ("pivot", verb):
        Run(world, each)()
        world.pass_time(30.0)  # nobody leads until a lease has run out
        assert world.unserved() == []
        assert world.silent_api == world.empty_service == 0
        assert all(world.leads(component) for component in LED)
    assert [str(call) for call in world.changed if of_leaders(call)] == []


def test_the_plan_says_who_chooses_and_for_how_long_nobody_may_lead(world):
    plan = pivoting.prepare(
        world.client().cluster(),
        PivotOptions(timeout=60.0),
        observer=Seen(),
        show_findings=lambda _: None,
    ).plan
    said = {step.name: step.unavailable for step in plan.steps if step.name.startswith("hand-over")}
    told = [text for name, text in said.items() if "kube-apiserver" not in name]
    assert len(told) == len(LED) * len(world.nodes)
    assert all(
        "up to 30 s (the API server itself chooses the next leader)" in text for text in told
    )
