"""The benchmark's HTTP/2 writer, against a server that speaks HTTP/2."""

from __future__ import annotations

import time
from pathlib import Path

from bed.bench import http2
from http2_server import Answering, Http2Server, answer
from hyperframe.frame import GoAwayFrame

from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect

CONFIG = """
apiVersion: v1
kind: Config
current-context: it
contexts: [{{name: it, context: {{cluster: it, user: it}}}}]
clusters: [{{name: it, cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: {ca}}}}}]
users: [{{name: it, user: {{token: secret}}}}]
"""


def run(folder: Path, answering: Answering, *, seconds: float = 1.0) -> dict:
    server = Http2Server(folder, answering)
    config = folder / "config"
    config.write_text(CONFIG.format(port=server.port, ca=server.certificate))
    options = ConnectionOptions(kubeconfig=str(config))
    with http2.Writer(connect(options), connect(options).transport.login) as writer:
        time.sleep(seconds)
    server.stop()
    seen = writer.report()
    assert seen["requests"] == writer.due > seconds * http2.RATE * 0.8
    return seen


def go_away(h2, last: int) -> None:
    """Send a GOAWAY and stay: h2's own close_connection would answer nothing any more."""
    h2._prepare_for_sending([GoAwayFrame(0, last_stream_id=last)])


def test_every_write_is_answered_on_one_connection(tmp_path):
    seen = run(tmp_path, lambda h2, _, stream: answer(h2, stream))
    assert seen["failures"] == {}
    assert (seen["connections"], seen["goaways"]) == (1, 0)
    assert seen["longestGap"] < 1


def test_a_goaway_is_no_failure(tmp_path):
    """What came before it is answered after it; what came later is sent again."""

    def answering(h2, number, stream):
        if number == 1 and stream == 3:
            return True
        if number == 1 and stream == 5:
            go_away(h2, last=3)
            stream = 3
        return answer(h2, stream)

    seen = run(tmp_path, answering)
    assert seen["failures"] == {}
    assert (seen["connections"], seen["goaways"]) == (2, 1)
    assert seen["resent"] >= 1  # on a busy machine, one more was on its way just then


def test_a_goaway_that_is_the_last_word(tmp_path):
    def answering(h2, number, stream):
        if number == 1 and stream == 3:
            go_away(h2, last=1)
            return False
        return answer(h2, stream)

    seen = run(tmp_path, answering)
    assert seen["failures"] == {}
    assert (seen["connections"], seen["goaways"]) == (2, 1)
    assert seen["resent"] >= 1  # on a busy machine, one more was on its way just then


def test_a_torn_connection_fails_what_was_under_way(tmp_path):
    seen = run(tmp_path, lambda h2, number, stream: number > 1 and answer(h2, stream))
    assert set(seen["failures"]) <= {"closed", "reset"}, seen  # reset: a second one was on its way
    assert 1 <= seen["failed"] <= 3
    assert seen["connections"] == 2


def test_a_server_that_says_when_to_come_again(tmp_path):
    def answering(h2, number, stream):
        if stream == 3:
            return answer(h2, stream, 503, ("retry-after", "1"))
        return answer(h2, stream, 403 if stream == 5 else 200)

    seen = run(tmp_path, answering)
    assert seen["failures"] == {"retry-after": 1, "http-403": 1}
    assert (seen["failed"], seen["retryAfter"]) == (1, 1)


def test_no_answer_is_a_timeout(tmp_path, monkeypatch):
    monkeypatch.setattr(http2, "ANSWER", 0.5)
    seen = run(tmp_path, lambda h2, n, stream: (n == 1 and stream == 3) or answer(h2, stream))
    assert seen["failures"] == {"timeout": 1}
    assert seen["connections"] == 2
