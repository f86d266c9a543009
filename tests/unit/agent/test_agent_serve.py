"""The dead man's switch: when the manifest comes back by itself, and how."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from agent_node import CONMON, FILE, INSTANCE_UID, MANIFEST, STATIC_UID, Node, eventually


def is_back(node: Node) -> bool:
    return node.manifest.exists() and node.manifest.read_bytes() == MANIFEST


def put_back(node: Node) -> bool:
    return node.status()["state"] == "put-back"


def test_it_comes_back_when_the_time_is_over(node: Node) -> None:
    with node.serving():
        node.arm(limit=1)
        eventually(lambda: put_back(node))
        assert node.status()["reason"] == "not confirmed within 1 s"
    assert is_back(node)
    assert not node.kept.exists()
    assert "was put back: not confirmed within 1 s" in node.log


def test_it_stays_away_once_confirmed(node: Node) -> None:
    with node.serving():
        node.arm(limit=1)
        node.confirm()
        time.sleep(1.3)
        assert node.status()["state"] == "confirmed"
    assert not node.manifest.exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_comes_back_when_the_agent_is_told_to_stop(node: Node, how: signal.Signals) -> None:
    with node.serving() as agent:
        node.arm()
        agent.send_signal(how)
        assert agent.wait(timeout=20) == 0
    assert is_back(node)
    assert node.journal()[-1]["reason"] == "the agent was stopped"


def test_an_agent_without_a_hand_over_just_stops(node: Node) -> None:
    with node.serving() as agent:
        agent.terminate()
        assert agent.wait(timeout=20) == 0
    assert not (node.dir / "journal").exists()


def test_an_agent_that_was_killed_goes_on(node: Node) -> None:
    with node.serving():
        node.arm(limit=5)  # a busy machine takes seconds to start three processes
    assert not node.status()["agent_running"]
    with node.serving():
        assert node.status()["state"] == "armed"
        eventually(lambda: put_back(node))
    assert is_back(node)


def test_it_comes_back_at_once_after_a_restart_of_the_node(node: Node) -> None:
    with node.serving():
        node.arm()
    node.boot("1e0c0a0e-0000-4000-8000-000000000002")
    with node.serving():
        eventually(lambda: put_back(node))
        assert node.status()["reason"] == "the node was restarted"
    assert is_back(node)


def test_a_second_agent_is_refused(node: Node) -> None:
    with node.serving():
        answer = node.run("serve", "--dir", node.dir, "--manifests", node.manifests)
    assert answer["code"] == "busy"


def test_an_agent_that_nobody_calls_ends(node: Node) -> None:
    with node.serving("--idle", 1) as agent:
        node.status()
        assert agent.wait(timeout=20) == 0


def test_a_call_keeps_the_agent(node: Node) -> None:
    with node.calling(), node.serving("--idle", 1) as agent:
        time.sleep(2.5)
        assert agent.poll() is None


def test_each_order_is_a_call(node: Node) -> None:
    with node.serving():
        node.status()
        first = (node.dir / "contact").stat().st_mtime_ns
        time.sleep(0.02)  # the kernel's clock for files steps by up to 10 ms
        node.status()
        assert (node.dir / "contact").stat().st_mtime_ns > first


def test_an_armed_agent_does_not_end_by_itself(node: Node) -> None:
    with node.serving("--idle", 1) as agent:
        with node.calling():
            node.arm()
        time.sleep(1.5)
        assert agent.poll() is None


def test_it_comes_back_when_the_new_instance_keeps_exiting(node: Node) -> None:
    with node.serving():
        node.arm()
        node.started(2)
        eventually(lambda: put_back(node))
        assert node.status()["reason"] == "kube-apiserver of the DaemonSet exited 2 times"
    assert is_back(node)


@pytest.mark.parametrize(
    ("comm", "cgroup"),
    [
        ("conmon", CONMON),
        ("conmon", "0::/kubepods/burstable/pod{raw}/crio-conmon-ab12"),
        ("conmonrs", "4:memory:/kubepods/pod{raw}\n0::/"),
        ("kms-plugin", "0::/kubepods/burstable/pod{raw}/cd34"),
    ],
)
def test_neither_a_monitor_nor_a_side_car_is_the_server(node: Node, comm: str, cgroup: str) -> None:
    """They outlive each exit of the component, which must be seen all the same."""
    static = node.process(STATIC_UID)
    node.process(STATIC_UID, comm=comm, cgroup=cgroup)
    beside = node.process(INSTANCE_UID, comm=comm, cgroup=cgroup)
    with node.serving():
        node.arm()
        assert node.status()["static_servers"] == 1
        static.kill()
        eventually(lambda: node.status()["static_servers"] == 0)
        assert node.status()["instance_processes"] == 0
        node.started(2)
        eventually(lambda: put_back(node))
        assert node.status()["reason"] == "kube-apiserver of the DaemonSet exited 2 times"
    assert (beside.poll() is None) == comm.startswith("conmon")


def test_a_server_under_another_name_counts(node: Node) -> None:
    node.process(STATIC_UID, comm="hyperkube")
    node.process(STATIC_UID, comm="conmon", cgroup=CONMON)
    node.process(INSTANCE_UID, comm="hyperkube")
    with node.serving():
        node.arm()
        assert node.status()["static_servers"] == 1
        assert node.status()["instance_processes"] == 1


def test_exits_before_the_hand_over_do_not_count(node: Node) -> None:
    node.started(4)
    with node.serving():
        node.arm()
        node.started(5)
        time.sleep(3.6)
        assert node.status()["state"] == "armed"


def test_an_instance_that_runs_again_is_left(node: Node) -> None:
    node.listen(on=True)
    with node.serving():
        node.arm()
        node.started(3)
        node.process(INSTANCE_UID)
        time.sleep(3.6)
        status = node.status()
    assert status["state"] == "armed"
    assert (status["instance_processes"], status["restarts"]) == (1, 2)


def test_it_comes_back_when_nobody_listens(node: Node) -> None:
    with node.serving():
        node.arm(listen_limit=1)
        eventually(lambda: put_back(node))
        assert node.status()["reason"] == "nothing listened on port 6443 for 1 s"
    assert is_back(node)


@pytest.mark.parametrize("address", ["10.0.0.5", "::ffff:10.0.0.5", "fd00::5", "::"])
def test_a_strangers_listener_is_no_server(node: Node, address: str) -> None:
    proxy = node.process("11111111-2222-4333-8444-555555555555", comm="haproxy")
    node.listen_at(address, held_by=proxy)
    with node.serving():
        node.arm(listen_limit=1)
        assert not node.status()["listening"]
        eventually(lambda: put_back(node))
        assert node.status()["reason"] == "nothing listened on port 6443 for 1 s"


@pytest.mark.parametrize(
    ("uid", "comm"),
    [
        (STATIC_UID, "hyperkube"),
        (INSTANCE_UID, "hyperkube"),
        ("11111111-2222-4333-8444-555555555555", "kube-apiserver"),
    ],
)
def test_a_servers_listener_is_one(node: Node, uid: str, comm: str) -> None:
    """By its pod; or by its program, in a pod that took another one's place."""
    node.listen_at("127.0.0.1", held_by=node.process(uid, comm=comm))
    with node.serving():
        node.arm()
        assert node.status()["listening"]


def test_silence_counts_from_the_static_pods_end(node: Node) -> None:
    static = node.process(STATIC_UID)
    with node.serving():
        node.arm(listen_limit=1)
        time.sleep(2.3)
        assert node.status()["static_alive"]
        assert node.status()["state"] == "armed"
        static.kill()
        eventually(lambda: put_back(node))


def test_a_restored_pod_is_held(node: Node) -> None:
    with node.serving():
        node.arm()
        node.put_back()
    assert node.hold.exists()


def test_putting_back_twice_is_putting_back_once(node: Node) -> None:
    with node.serving():
        node.arm()
        assert not node.put_back()["already"]
        assert node.put_back()["already"]
    assert node.events() == ["armed", "put-back"]


def test_a_file_that_is_there_already_is_left(node: Node) -> None:
    with node.serving():
        node.arm()
        node.put_manifest(b"somebody's own\n")
        answer = node.put_back()
    assert node.manifest.read_bytes() == b"somebody's own\n"
    assert node.kept.read_bytes() == MANIFEST
    assert "was there already" in answer["reason"]


def test_a_manifest_that_somebody_took_is_told(node: Node) -> None:
    with node.serving():
        node.arm()
        node.kept.unlink()
        answer = node.put_back()
        assert node.status()["state"] == "put-back"
    assert answer["code"] == "not-found"
    assert FILE in answer["error"]
    assert node.events()[-1] == "lost"


def test_the_instance_is_stopped_with_its_sandbox(node: Node) -> None:
    with node.serving():
        node.arm()
        server, pause = node.process(INSTANCE_UID), node.process(INSTANCE_UID, comm="pause")
        node.put_back()
        eventually(lambda: server.poll() == pause.poll() == -signal.SIGTERM)


@pytest.mark.parametrize(
    "cgroup",
    [
        "0::/kubelet.slice/kubelet-kubepods-besteffort-pod{uid}.slice/cri-containerd-ab.scope",
        "0::/../../kubelet-kubepods-pod{uid}.slice/crio-ab.scope",
        "0::/kubepods/burstable/pod{raw}/ab",
        "4:memory:/kubepods/pod{raw}/ab\n0::/",
    ],
)
def test_a_pods_processes_are_found(node: Node, cgroup: str) -> None:
    with node.serving():
        node.arm()
        node.process(INSTANCE_UID, cgroup=cgroup)
        assert node.status()["instance_processes"] == 1


@pytest.mark.parametrize(
    "cgroup",
    [
        "0::/kubepods/burstable/pod{raw}0/ab",
        "0::/kubepods/burstable/{raw}/ab",
        "0::/kubepods/burstable/pod7" + INSTANCE_UID[1:] + "/ab",
        "0::/user.slice",
        "",
    ],
)
def test_no_other_process_is_touched(node: Node, cgroup: str) -> None:
    with node.serving():
        node.arm()
        stranger = node.process(INSTANCE_UID, cgroup=cgroup)
        assert node.status()["instance_processes"] == 0
        node.put_back()
        time.sleep(0.1)
        assert stranger.poll() is None


def test_a_side_car_may_run_in_a_pod_that_waits_for_its_port(node: Node) -> None:
    with node.serving():
        node.arm()
        waiting = [node.process(INSTANCE_UID, comm=c) for c in ("selfhost-agent", "kms-plugin")]
        node.put_back()
        time.sleep(0.1)
        assert [process.poll() for process in waiting] == [None, None]


def test_a_pod_that_waits_for_its_port_is_left_alone(node: Node) -> None:
    with node.serving():
        node.arm()
        waiting = node.process(INSTANCE_UID, comm="selfhost-agent")
        pause = node.process(INSTANCE_UID, comm="pause")
        node.put_back()
        assert (waiting.poll(), pause.poll()) == (None, None)


def test_a_deaf_instance_is_killed_before_the_manifest_is_back(node: Node) -> None:
    node.listen(on=True)
    with node.serving():
        node.arm()
        deaf = node.process(INSTANCE_UID, deaf=True)
        start = time.time()
        node.put_back()
        eventually(lambda: deaf.poll() == -signal.SIGKILL)
    assert node.manifest.stat().st_ctime - start > 1.9


def test_a_manifest_is_not_kept_waiting_for_a_drain(node: Node) -> None:
    with node.serving():
        node.arm()
        deaf = node.process(INSTANCE_UID, deaf=True)
        start = time.time()
        node.put_back()
        ended = time.time()
        eventually(lambda: deaf.poll() == -signal.SIGKILL)
    assert ended - node.manifest.stat().st_ctime > 1
    assert ended - start > 1.9


def test_exits_count_while_the_static_one_drains(node: Node) -> None:
    static = node.process(STATIC_UID, deaf=True)
    with node.serving():
        node.arm()
        node.started(2)
        eventually(lambda: put_back(node))
        # The kubelet starts the pod again only when its former process has gone.
        eventually(lambda: static.poll() == -signal.SIGKILL)


def test_a_static_one_that_listens_is_left_alone(node: Node) -> None:
    node.listen(on=True)
    static = node.process(STATIC_UID)
    with node.serving():
        node.arm()
        node.put_back()
        time.sleep(0.1)
        assert static.poll() is None


def test_a_static_ones_sandbox_is_left_alone(node: Node) -> None:
    pause = node.process(STATIC_UID, comm="pause")
    node.process(STATIC_UID)
    with node.serving():
        node.arm()
        node.put_back()
        time.sleep(0.1)
        assert pause.poll() is None


def test_never_pid_1_nor_the_agent_itself(node: Node) -> None:
    with node.serving() as agent:
        node.arm()
        for pid in (1, agent.pid):
            (node.proc / str(pid)).mkdir()
            (node.proc / str(pid) / "cgroup").write_text(f"0::/kubepods/pod{INSTANCE_UID}/a\n")
            (node.proc / str(pid) / "comm").write_text("kube-apiserver\n")
        if os.geteuid() == 0 and os.getpid() != 1:
            status = node.status()
            # The other agent process counts: only the one that looks leaves itself out.
            assert status["instance_processes"] == 1
        agent.terminate()
        assert agent.wait(timeout=20) == 0
    assert is_back(node)


NEW_UID = "11111111-2222-4333-8444-555555555555"


def test_a_pod_that_took_the_instances_place_is_stopped_too(node: Node) -> None:
    node.started(1)
    with node.serving():
        node.arm()
        pods = node.logs / f"kube-system_self-hosted-kube-apiserver-q9w8e_{NEW_UID}"
        pods.mkdir()
        replaced = node.process(NEW_UID)
        assert node.status()["instance_processes"] == 1
        node.put_back()
        eventually(lambda: replaced.poll() == -signal.SIGTERM)


@pytest.mark.parametrize(
    "pod", ["kube-apiserver-q9w8e", "self-hosted-kube-apiserver-proxy-q9w8e", "etcd-node"]
)
def test_another_pod_is_not_taken_for_it(node: Node, pod: str) -> None:
    node.started(1)
    with node.serving():
        node.arm()
        (node.logs / f"kube-system_{pod}_{NEW_UID}").mkdir()
        stranger = node.process(NEW_UID)
        node.put_back()
        time.sleep(0.1)
        assert stranger.poll() is None


def test_nothing_is_armed_behind_the_back_of_an_agent_that_ends(node: Node) -> None:
    """Whatever comes first, the order or the agent's end, the manifest is never left away."""
    for delay in range(12):
        with node.serving() as agent:
            order = node.give("arm", **node.arm_fields())
            time.sleep(delay * 0.01)
            agent.terminate()
            assert agent.wait(timeout=20) == 0
        order.communicate(timeout=20)
        assert node.status()["state"] in ("idle", "put-back")
        assert is_back(node)


def test_an_agent_that_is_started_again_does_not_wait_long_for_a_run_that_is_gone(node: Node):
    with node.serving("--idle", 20):
        node.status()
    with node.serving("--idle", 20) as agent:
        assert agent.wait(timeout=10) == 0


def test_a_run_that_goes_on_is_waited_for(node: Node):
    with node.serving("--idle", 20) as agent:
        node.status()
        with pytest.raises(subprocess.TimeoutExpired):
            agent.wait(timeout=4)
