"""Whether two pods mean the same, and how it is said if they don't."""

from __future__ import annotations

from copy import deepcopy

import pytest
from fakes.pods import for_any, static_pods

from kubectl_selfhost.controlplane.component import SCHEDULER
from kubectl_selfhost.controlplane.pod import difference
from kubectl_selfhost.controlplane.pod.difference import HIDDEN


@pytest.fixture
def scheduler(manifest) -> dict:
    return manifest("1.30", SCHEDULER)


@pytest.fixture
def other(scheduler) -> dict:
    return deepcopy(scheduler)


def said(a: dict, b: dict) -> list[str]:
    return [str(one) for one in difference.meaning(a, b)]


def container(pod: dict) -> dict:
    return pod["spec"]["containers"][0]


C = "spec.containers[kube-scheduler]"


@for_any(static_pods())
def test_a_pod_means_the_same_as_itself(pod: dict) -> None:
    assert difference.meaning(pod, deepcopy(pod)) == []


@for_any(static_pods(), static_pods())
def test_a_difference_is_one_from_both_sides(one: dict, two: dict) -> None:
    there = {(d.path, d.a, d.b) for d in difference.meaning(one, two)}
    back = {(d.path, d.b, d.a) for d in difference.meaning(two, one)}
    assert there == back


def test_another_image(scheduler, other) -> None:
    container(other)["image"] = "example/kube-scheduler:v2"
    old = container(scheduler)["image"]
    assert said(scheduler, other) == [f"{C}.image is example/kube-scheduler:v2 instead of {old}"]


def test_another_flag(scheduler, other) -> None:
    container(other)["command"][1:2] = ["--v=4"]
    gone = container(scheduler)["command"][1].removeprefix("--").partition("=")
    assert said(scheduler, other) == [
        f"{C}.command --{gone[0]} is missing (was {gone[2]})",
        f"{C}.command --v was added: 4",
    ]


def test_another_value_of_a_flag(scheduler, other) -> None:
    container(scheduler)["command"].append("--v=2")
    container(other)["command"].append("--v=4")
    assert said(scheduler, other) == [f"{C}.command --v is 4 instead of 2"]


def test_a_flag_once_more(scheduler, other) -> None:
    container(scheduler)["command"] += ["--a=1"]
    container(other)["command"] += ["--a=1", "--a=2"]
    assert said(scheduler, other) == [f"{C}.command --a is 1 and 2 instead of 1"]


def test_another_program(scheduler, other) -> None:
    container(other)["command"][0] = "my-scheduler"
    assert said(scheduler, other) == [f"{C}.command is my-scheduler instead of kube-scheduler"]


def test_the_order_and_the_form_of_flags_mean_nothing(scheduler, other) -> None:
    container(scheduler)["command"] += ["--v=2", "--a=1"]
    container(other)["command"] += ["--a", "1", "--v", "2"]
    assert said(scheduler, other) == []


def test_the_order_of_volumes_means_nothing(scheduler, other) -> None:
    volumes = [{"name": name, "emptyDir": {}} for name in "ab"]
    scheduler["spec"]["volumes"] = volumes
    other["spec"]["volumes"] = volumes[::-1]
    assert said(scheduler, other) == []


def test_the_order_of_variables_means_something(scheduler, other) -> None:
    variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}]
    container(scheduler)["env"] = variables
    container(other)["env"] = variables[::-1]
    assert said(scheduler, other) == [f"the order of {C}.env is B, A instead of A, B"]


def test_a_default_written_out_means_nothing(scheduler, other) -> None:
    other["spec"].update(dnsPolicy="ClusterFirst", restartPolicy="Always")
    container(other)["terminationMessagePolicy"] = "File"
    assert said(scheduler, other) == []


def test_one_amount_in_two_notations_is_the_same(scheduler, other) -> None:
    container(scheduler)["resources"] = {"requests": {"cpu": "500m", "memory": "1Gi"}}
    container(other)["resources"] = {"requests": {"cpu": 0.5, "memory": "1024Mi"}}
    assert said(scheduler, other) == []


def test_another_amount(scheduler, other) -> None:
    container(other)["resources"]["requests"]["cpu"] = "200m"
    assert said(scheduler, other) == [f"{C}.resources.requests.cpu is 200m instead of 100m"]


def test_another_container(scheduler, other) -> None:
    other["spec"]["containers"].append({"name": "proxy", "image": "a:1"})
    assert [d.path for d in difference.meaning(scheduler, other)] == ["spec.containers[proxy]"]


def test_true_is_not_one(scheduler, other) -> None:
    container(scheduler)["securityContext"] = {"privileged": True}
    container(other)["securityContext"] = {"privileged": 1}
    assert len(difference.meaning(scheduler, other)) == 1


def test_a_variables_value_is_never_shown(scheduler, other) -> None:
    container(scheduler)["env"] = [{"name": "A", "value": "secret-1"}]
    container(other)["env"] = [{"name": "A", "value": "secret-2"}]
    assert said(scheduler, other) == [f"{C}.env[A].value is {HIDDEN} instead of {HIDDEN}"]


def test_nor_is_that_of_one_more(scheduler, other) -> None:
    container(other)["env"] = [{"name": "A", "value": "secret"}]
    other["spec"]["initContainers"] = [{"name": "i", "env": [{"name": "A", "value": "secret"}]}]
    assert "secret" not in str(said(scheduler, other))
    assert len(said(scheduler, other)) == 2


def test_long_values_are_cut(scheduler, other) -> None:
    container(other)["image"] = "a" * 1000
    assert max(len(line) for line in said(scheduler, other)) < 400
