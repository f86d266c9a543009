"""The guardian at work: files that come and go, as somebody listens or not."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_node import COMPONENT, FILE, MANIFEST, Node, eventually

COPY = b"apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver-recovery}\n"
PLACED = f"kubectl-selfhost-recovery-{COMPONENT}.yaml"
GUARDED = f"component={COMPONENT}\nport=6443\nfile={FILE}\nend=1\n"
LARGEST = 256 * 1024
GUARDIAN = "kubectl-selfhost-guardian.yaml"


def store(node: Node, name: str, content: bytes) -> dict:
    return node.order("store", file=name, content=content)


def on_both(node: Node, order: str, **fields: object) -> dict:
    return node.order(order, manifests=node.manifests, **fields)


def install(node: Node, content: bytes = b"guardian", sha256: str = "") -> dict:
    return on_both(node, "install", content=content, sha256=sha256 or digest(node.program))


def digest(program: Path) -> str:
    return hashlib.sha256(program.read_bytes()).hexdigest()


@pytest.fixture
def pivoted(node: Node) -> Node:
    """Return a node without the static pod, with a kept copy and the guardian's files."""
    node.manifest.unlink()
    assert store(node, f"{COMPONENT}.yaml", COPY) == {"stored": f"{COMPONENT}.yaml"}
    store(node, "guarded", GUARDED.encode())
    assert install(node) == {"installed": GUARDIAN}
    return node


@contextlib.contextmanager
def guarding(node: Node) -> Iterator[None]:
    process = node.popen(
        *("guard", "--dir", node.dir, "--manifests", node.manifests, "--proc", node.proc)
    )
    assert process.stdout is not None
    assert "guards" in process.stdout.readline()
    try:
        yield
    finally:
        process.terminate()
        # Not communicate(): it passes over what came along with the first line.
        node.log = process.stdout.read()
        _, err = process.communicate(timeout=10)
        assert (process.returncode, err) == (0, "")


def placed(node: Node) -> bool:
    return (node.manifests / PLACED).exists()


def test_the_copy_is_put_in_place_when_nobody_listens(pivoted: Node) -> None:
    with guarding(pivoted):
        eventually(lambda: placed(pivoted), 10)
    assert (pivoted.manifests / PLACED).read_bytes() == COPY
    assert stat.S_IMODE((pivoted.manifests / PLACED).stat().st_mode) == 0o600
    assert pivoted.events() == ["recovery-placed"]
    assert "put in place" in pivoted.log


def test_it_does_not_come_while_somebody_listens(pivoted: Node) -> None:
    pivoted.listen(on=True)
    with guarding(pivoted):
        time.sleep(5)
        assert not placed(pivoted)
        pivoted.listen(on=False)
        eventually(lambda: placed(pivoted), 10)  # so it was awake, and looked


def bound_to(node: Node, address: str) -> None:
    """Have the list say at which address the component listens."""
    store(node, "guarded", GUARDED.replace("end", f"address={address}\nend").encode())


#: haproxy at the node's address (or a virtual one), whatever a component's own is.
PROXIED = [
    ("127.0.0.1", "10.0.0.5"),
    ("0.0.0.0", "10.0.0.100"),
    ("fd00::11", "::ffff:10.0.0.100"),
]


@pytest.mark.parametrize(("address", "proxy"), PROXIED)
def test_a_proxy_at_another_address_is_nobody(pivoted: Node, address: str, proxy: str) -> None:
    bound_to(pivoted, address)
    pivoted.listen_at(proxy)
    with guarding(pivoted):
        eventually(lambda: placed(pivoted), 10)


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("0.0.0.0", "::"),
        ("fd00::11", "fd00:0::11"),
    ],
)
def test_the_component_itself_is_somebody(pivoted: Node, address: str, own: str) -> None:
    """Nobody else's listener is needed for it, nor in its way."""
    bound_to(pivoted, address)
    pivoted.listen_at("10.0.0.100", own)
    with guarding(pivoted):
        time.sleep(3.5)
        assert not placed(pivoted)


@pytest.mark.parametrize("address", ["", "fe80::1%eth0"])
def test_where_the_address_is_unknown_any_listener_counts(pivoted: Node, address: str) -> None:
    """A copy beside a server that was overlooked is worse than none."""
    bound_to(pivoted, address)
    pivoted.listen_at("10.0.0.5")
    with guarding(pivoted):
        time.sleep(3.5)
        assert not placed(pivoted)


@pytest.mark.parametrize("file", ["guardian-off", "agent.lock"])
def test_it_does_not_come_while_it_is_switched_off_or_an_agent_watches(
    pivoted: Node, file: str
) -> None:
    with open(pivoted.dir / file, "w") as held, guarding(pivoted):
        fcntl.flock(held, fcntl.LOCK_EX)
        time.sleep(5)
        assert not placed(pivoted)
        fcntl.flock(held, fcntl.LOCK_UN)
        (pivoted.dir / file).unlink()
        eventually(lambda: placed(pivoted), 10)


def test_it_does_not_come_beside_the_static_pod(pivoted: Node) -> None:
    pivoted.put_manifest()
    with guarding(pivoted):
        time.sleep(5)
        assert not placed(pivoted)
        pivoted.manifest.unlink()
        eventually(lambda: placed(pivoted), 10)


def test_it_goes_when_the_static_pod_comes_back(pivoted: Node) -> None:
    with guarding(pivoted):
        eventually(lambda: placed(pivoted), 10)
        pivoted.put_manifest()
        eventually(lambda: not placed(pivoted), 10)
    assert pivoted.events() == ["recovery-placed", "recovery-taken"]


def test_a_hand_over_that_a_reboot_cut_short_is_taken_back(node: Node) -> None:
    """The agent, which has the dead man's switch, is not there until there is an API."""
    store(node, f"{COMPONENT}.yaml", COPY)
    store(node, "guarded", GUARDED.encode())
    with node.serving():
        node.arm()
    assert not node.manifest.exists()
    node.boot("1e0c0a0e-0000-4000-8000-000000000002")
    with guarding(node):
        eventually(lambda: node.manifest.exists(), 10)
        time.sleep(4)
        assert not placed(node)
    assert node.manifest.read_bytes() == MANIFEST
    assert node.hold.exists()
    assert node.events() == ["armed", "put-back"]


def test_a_damaged_list_is_told_once(pivoted: Node) -> None:
    store(pivoted, "guarded", b"component=kube-apiserver\nend=1\n")
    with guarding(pivoted):
        time.sleep(8)  # it looks every second, on a busy machine less often
    assert pivoted.log.count("is damaged") == 1


def test_the_program_that_is_installed_is_this_one(pivoted: Node) -> None:
    program = pivoted.dir / "agent"
    assert program.read_bytes() == pivoted.program.read_bytes()
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert (pivoted.manifests / GUARDIAN).read_bytes() == b"guardian"
    assert not [path for path in pivoted.manifests.iterdir() if path.name != GUARDIAN]


def test_another_program_than_asked_for_is_not_installed(pivoted: Node) -> None:
    (pivoted.dir / "agent").write_bytes(b"as it was")
    answer = install(pivoted, b"again", sha256="0" * 64)
    assert answer["code"] == "changed"
    assert digest(pivoted.program) in answer["error"]
    assert (pivoted.dir / "agent").read_bytes() == b"as it was"
    assert (pivoted.manifests / GUARDIAN).read_bytes() == b"guardian"
    assert not [path for path in pivoted.dir.iterdir() if path.name.startswith(".")]


def test_the_agent_says_which_programs_there_are(pivoted: Node) -> None:
    own = digest(pivoted.program)
    assert pivoted.status()["program"] == own
    assert on_both(pivoted, "check")["guardian"] == own
    (pivoted.dir / "agent").write_bytes(b"replaced by root")
    assert on_both(pivoted, "check")["guardian"] == digest(pivoted.dir / "agent")
    (pivoted.dir / "agent").unlink()
    assert on_both(pivoted, "check")["guardian"] == ""


def test_installing_switches_it_on_again(pivoted: Node) -> None:
    assert on_both(pivoted, "disable") == {"disabled": GUARDIAN}
    assert (pivoted.dir / "guardian-off").exists()
    assert not (pivoted.manifests / GUARDIAN).exists()
    install(pivoted, b"again")
    assert not (pivoted.dir / "guardian-off").exists()
    assert (pivoted.manifests / GUARDIAN).read_bytes() == b"again"


def test_a_copy_in_place_outlives_the_guardian(pivoted: Node) -> None:
    (pivoted.manifests / PLACED).write_bytes(COPY)
    on_both(pivoted, "disable")
    assert placed(pivoted)


def test_nothing_is_left_of_it(pivoted: Node) -> None:
    (pivoted.manifests / PLACED).write_bytes(COPY)
    (pivoted.manifests / "etcd.yaml").write_bytes(b"etcd")
    for _ in range(2):
        assert on_both(pivoted, "clear") == {"cleared": "recovery"}
    assert [path.name for path in pivoted.manifests.iterdir()] == ["etcd.yaml"]
    assert {path.name for path in pivoted.dir.iterdir()} <= {"contact"}


@pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 100, b"x" * LARGEST])
def test_content_comes_out_as_it_went_in(node: Node, content: bytes) -> None:
    store(node, "x", content)
    assert (node.dir / "recovery" / "x").read_bytes() == content


def test_content_that_is_too_large_is_refused(node: Node) -> None:
    answer = store(node, "x", b"x" * (LARGEST + 1))
    assert answer == {"error": "content is larger than 262144 bytes", "code": "usage"}
    assert not node.dir.exists()


@pytest.mark.parametrize("size", [LARGEST - 1, LARGEST])
def test_the_largest_copy_can_be_put_in_place(pivoted: Node, size: int) -> None:
    copy = b"x" * size
    store(pivoted, f"{COMPONENT}.yaml", copy)
    with guarding(pivoted):
        eventually((pivoted.manifests / PLACED).exists, seconds=60)
    assert (pivoted.manifests / PLACED).read_bytes() == copy
