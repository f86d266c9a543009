"""An order as it comes: lines of key=value, taken whole or not at all."""

from __future__ import annotations

import json
import time

import pytest
from agent_node import COMPONENT, Node

from kubectl_selfhost.node.orders import as_lines

LARGEST_ORDER = 1024 * 1024


def hold(**changes: object) -> str:
    return as_lines(**{"order": "hold", "component": COMPONENT, **changes}).decode()


def refused(node: Node, text: str) -> str:
    """Return the reason; check that the order has done nothing."""
    answer = node.answer_to(text)
    assert answer["code"] == "usage"
    assert not node.dir.exists()
    return answer["error"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"order": "fly"}, "there is no order 'fly'"),
        ({"order": ""}, "order can't be ''"),
        ({"component": ""}, "component can't be ''"),
        ({"component": [COMPONENT, COMPONENT]}, "component is given twice"),
        ({"component": "a\0b"}, "line 2 is no key=value"),
        ({"component": "Kube"}, "component can't be 'Kube'"),
        ({"dir": "relative"}, "dir can't be 'relative'"),
        ({"dir": "/x\ty"}, "dir can't be"),
        ({"dir": "/" + "x" * 2000}, "dir can't be"),
        ({"port": 1}, "hold takes no port"),
        ({"order": "status"}, "status takes no component"),
        ({"order": "arm"}, "arm needs manifests"),
        ({"order": "arm", "instance_uids": ["01234567-89ab"] * 9}, "more than 8 times"),
        ({"order": "arm", "instance_uids": [1]}, "instance_uids can't be '1'"),
        ({"order": "tidy", "keep_backups": "backups"}, "keep_backups can't be 'backups'"),
        ({"order": "tidy", "keep_backups": 2}, "keep_backups can't be '2'"),
        ({"order": "can-share", "port": "x"}, "port can't be 'x'"),
        ({"order": "can-share", "port": 0}, "port can't be '0'"),
        ({"order": "can-share", "port": -1}, "port can't be '-1'"),
        ({"order": "can-share", "port": 1.5}, "port can't be '1.5'"),
        ({"order": "can-share", "port": 65536}, "port can't be '65536'"),
        ({"order": "can-share", "port": 10**30}, "port can't be '1000000"),
        ({"order": "store", "content": "abc"}, "content isn't in hexadecimal"),
        ({"order": "store", "content": "0g"}, "content isn't in hexadecimal"),
        ({"speed": 1}, "there is no option 'speed'"),
    ],
)
def test_what_is_not_an_order_is_refused(
    node: Node, change: dict[str, object], complaint: str
) -> None:
    order = hold(dir=str(node.dir), **change) if "dir" not in change else hold(**change)
    assert complaint in refused(node, order)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\nend=1\n", "line 1 is no key=value"),
        ("hold\nend=1\n", "line 1 is no key=value"),
        ("order=hold\n\nend=1\n", "line 2 is no key=value"),
        ("dir=/x\nend=1\n", "the order has no name"),
        ("=hold\nend=1\n", "there is no option ''"),
        ('{"order":"hold"}\nend=1\n', "line 1 is no key=value"),
    ],
)
def test_what_is_not_lines_is_refused(node: Node, text: str, complaint: str) -> None:
    assert complaint in refused(node, text)


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_half_an_order_is_none(node: Node, cut: int) -> None:
    process = node.send(hold(dir=str(node.dir))[:-cut])
    out, _ = process.communicate(timeout=20)  # which ends its input
    assert "the order ended before its last line" in json.loads(out)["error"]
    assert not node.dir.exists()


def test_an_order_may_come_in_pieces(node: Node) -> None:
    node.dir.mkdir()
    line = hold(dir=str(node.dir))
    process = node.send(line[:7])
    assert process.stdin is not None
    for piece in (line[7:20], line[20:]):
        time.sleep(0.1)
        process.stdin.write(piece)
        process.stdin.flush()
    out, _ = process.communicate(timeout=20)
    assert json.loads(out) == {"held": COMPONENT}


def test_a_client_that_is_gone_leaves_no_process(node: Node) -> None:
    began = time.monotonic()
    answer = node.answer_to("order=")
    assert answer == {"error": "no whole order came within 10 s", "code": "usage"}
    assert 9 < time.monotonic() - began < 15


def test_an_endless_order_is_refused(node: Node) -> None:
    assert "larger than 1048575 bytes" in refused(node, "x" * (LARGEST_ORDER + 5000))


@pytest.mark.parametrize("content", ["s3cret", "s3cret\0", "s3" * 300_000])
def test_content_is_not_quoted(node: Node, content: str) -> None:
    answer = node.answer_to(f"order=store\ncontent={content}\nend=1\n")
    assert "s3" not in json.dumps(answer)
