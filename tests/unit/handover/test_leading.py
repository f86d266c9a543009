"""Who leads after the old leader's process was killed, and its kubelet starts it again."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import SCHEDULER
from kubectl_selfhost.handover.leadership import Leadership
from kubectl_selfhost.handover.revision_to_revision import BetweenRevisions
from kubectl_selfhost.handover.ways import SHARED, Choice


class Agent:
    """An agent that finds so many processes at each order to kill."""

    target = cast(Any, type("Target", (), {"node": "cp-1"}))

    def __init__(self, *found: int) -> None:
        self._found = list(found)
        self.by_name: list[bool] = []

    def kill(self, pod_uid: str, *, by_name: bool = False) -> int:
        assert pod_uid == "uid-old"
        self.by_name.append(by_name)
        return self._found.pop(0)


class Conditions:
    """The new instance serves, and leads when it is asked for the last time."""

    def __init__(self, asked: int) -> None:
        self._left = asked

    def leads(self, leadership: Leadership) -> bool:
        self._left -= 1
        if self._left:
            raise Waiting("it doesn't lead yet")
        return True

    def serves(self) -> bool:
        return True


def looks(agent: Agent, times: int) -> None:
    """Kill the old leader, then look ``times`` times whether the new instance leads."""
    handover = BetweenRevisions(
        cast(Any, None),
        cast(Any, agent),
        SCHEDULER,
        choice=Choice(SHARED),
        timeout=1.0,
        tell=lambda _: None,
    )
    handover._conditions = cast(Any, Conditions(times))
    handover._kill_old("uid-old")
    for _ in range(times - 1):
        with pytest.raises(Waiting):
            handover._new_leads(cast(Any, None))
    assert handover._new_leads(cast(Any, None))


def test_an_old_leader_that_starts_again_is_killed_once_more_and_no_third_time() -> None:
    """Its first attempt would come before the new instance's next attempt."""
    agent = Agent(1, 0, 1)
    looks(agent, 5)
    assert agent.by_name == [False, True, True]


def test_once_the_new_instance_leads_nothing_is_killed() -> None:
    agent = Agent(1)
    looks(agent, 1)
    assert agent.by_name == [False]
