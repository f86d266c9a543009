"""An order as it comes: one JSON object on one line, taken whole or not at all."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from agent_node import COMPONENT, Node

LARGEST_ORDER = 2 * 1024 * 1024


def hold(**changes: object) -> dict[str, Any]:
    return {"order": "hold", "component": COMPONENT, **changes}


def refused(node: Node, line: str) -> str:
    """Return the reason; check that the order has done nothing."""
    answer = node.answer_to(line)
    assert answer["code"] == "usage"
    assert not node.dir.exists()
    return answer["error"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"order": "fly"}, "there is no order 'fly'"),
        ({"order": 1}, "order must be a string"),
        ({"order": ["hold"]}, "order must be a string"),
        ({"component": 5}, "component must be a string"),
        ({"component": True}, "component must be a string"),
        ({"component": [COMPONENT]}, "component must be a string"),
        ({"component": "a\0b"}, "component can't be"),
        ({"dir": "relative"}, "dir can't be 'relative'"),
        ({"dir": "/x\ny"}, "dir can't be"),
        ({"dir": "/" + "x" * 2000}, "dir can't be"),
        ({"port": 1}, "hold takes no port"),
        ({"order": "status"}, "status takes no component"),
        ({"order": "arm"}, "arm needs manifests"),
        ({"order": "arm", "instance_uids": "01234567-89ab"}, "must be a list of strings"),
        ({"order": "arm", "instance_uids": ["01234567-89ab"] * 9}, "longer than 8"),
        ({"order": "arm", "instance_uids": [1]}, "a string is missing"),
        ({"order": "tidy", "keep_backups": "backups"}, "keep_backups must be true or false"),
        ({"order": "tidy", "keep_backups": 1}, "keep_backups must be true or false"),
        ({"order": "can-share", "port": "1"}, "port must be a whole number"),
        ({"order": "can-share", "port": 0}, "port can't be 0"),
        ({"order": "can-share", "port": 65536}, "port can't be 65536"),
        ({"speed": 1}, "there is no field 'speed'"),
    ],
)
def test_what_is_not_an_order_is_refused(
    node: Node, change: dict[str, object], complaint: str
) -> None:
    order = hold(dir=str(node.dir), **change) if "dir" not in change else hold(**change)
    assert complaint in refused(node, json.dumps(order) + "\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "at byte 0: '{' is missing"),
        ("null", "at byte 0: '{' is missing"),
        ("[]", "at byte 0: '{' is missing"),
        ("{}", "the order has no name"),
        ("{} {}", "at byte 3: the end of the order is missing"),
        ('{"order"}', "':' is missing"),
        ('{"order":}', "at byte 9"),
        ('{"order":null}', "at byte 9"),
        ('{"order":{}}', "at byte 9"),
        ('{"order":"hold"', "'}' is missing"),
        ('{"order":"hold",}', "at byte 16: a string is missing"),
        ('{"order":"hold" "dir":"/x"}', "at byte 16: '}' is missing"),
        ('{order:"hold"}', "at byte 1"),
        ("{'order':'hold'}", "at byte 1"),
        ('{"order":"hold}', "the end of a string is missing"),
        ('{"order":"ho\tld"}', "the end of a string is missing"),
        ('{"order":"\\x"}', "a valid escape is missing"),
        ('{"order":"\\u12g4"}', "a valid escape is missing"),
        ('{"order":"\\u123', "a valid escape is missing"),
        ('{"order":"\\ud800"}', "the second half of a surrogate pair is missing"),
        ('{"order":"\\ud800\\u0041"}', "the second half of a surrogate pair is missing"),
        ('{"order":"\\udc00"}', "the first half of a surrogate pair is missing"),
        ('{"port":01}', "at byte 8"),
        ('{"port":-1}', "at byte 8"),
        ('{"port":1.5}', "at byte 9: '}' is missing"),
        ('{"port":1e3}', "at byte 9: '}' is missing"),
        ('{"port":1234567890}', "at byte 8"),
        ('{"instance_uids":["01234567-89ab"}', "the end of a list is missing"),
        ('{"instance_uids":[', "a string is missing"),
        ('{"keep_backups":truth}', "at byte 16"),
        ('{"limit":1,"limit":1}', "limit is given twice"),
        ('{"instance_uids":[],"instance_uids":[]}', "instance_uids is given twice"),
    ],
)
def test_what_is_not_json_is_refused(node: Node, text: str, complaint: str) -> None:
    assert complaint in refused(node, text + "\n")


@pytest.mark.parametrize(
    "raw", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"]
)
def test_what_is_not_utf_8_is_refused(node: Node, raw: bytes) -> None:
    process = node.popen("order")
    assert process.stdin is not None
    process.stdin.buffer.write(b'{"order":"' + raw + b'"}\n')
    out, _ = process.communicate(timeout=20)
    assert "not valid JSON at byte 10" in json.loads(out)["error"]


def test_json_may_be_written_in_any_way(node: Node) -> None:
    node.dir.mkdir()
    told = ' {"\\u006frder" :\t"hold" , "component":"kube-\\u0061piserver",\r "dir":"%s" } \n'
    assert node.answer_to(told % node.dir) == {"held": COMPONENT}
    assert node.hold.exists()


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_half_an_order_is_none(node: Node, cut: int) -> None:
    line = json.dumps(hold(dir=str(node.dir))) + "\n"
    process = node.send(line[:-cut])
    out, _ = process.communicate(timeout=20)  # which ends its input
    assert "the order ended before its line did" in json.loads(out)["error"]
    assert not node.dir.exists()


def test_an_order_may_come_in_pieces(node: Node) -> None:
    node.dir.mkdir()
    line = json.dumps(hold(dir=str(node.dir))) + "\n"
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
    answer = node.answer_to('{"order":')
    assert answer == {"error": "no whole order came within 10 s", "code": "usage"}
    assert 9 < time.monotonic() - began < 15


def test_an_endless_order_is_refused(node: Node) -> None:
    assert "larger than 2097152 bytes" in refused(node, "x" * (LARGEST_ORDER + 5000))


def test_what_is_not_json_is_not_quoted(node: Node) -> None:
    answer = node.answer_to('{"content":"s3cret\\x"}\n')
    assert "s3cret" not in json.dumps(answer)
