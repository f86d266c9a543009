"""The benchmark's tables, from rounds as plain data."""

from __future__ import annotations

from bed.bench import table

LATE = "kubeadm's algorithm, 25 s late"


def tally(requests: int, gap: float | None, **failures: int) -> dict:
    later = failures.pop("later", 0)
    every = failures | ({"retry-after": later} if later else {})
    return {
        "requests": requests,
        "failed": sum(failures.values()),
        "retryAfter": later,
        "failures": every,
        "longestGap": gap,
        "latency": {"p50": 20.0},
    }


def a_round(*, refused: int = 0, gap: float = 0.2, seconds: float = 60.0, error: str = "") -> dict:
    kinds = {
        "connect": tally(3000, gap, refused=refused) if refused else tally(3000, gap),
        "read": tally(600, 0.2),
        "write": tally(300, 0.3),
        "watch": tally(2, None),
    }
    return {
        "seconds": seconds,
        "components": {"kube-apiserver": 30.0, "kube-scheduler": 3.0},
        "error": error,
        "probe": {
            "kinds": [{"name": name, **one} for name, one in kinds.items()],
            "watch": {"lost": 0, "unseen": 0},
            "endpoints": {"empty": 0.0},
            "inCluster": tally(3000, 0.1),
            "slots": ["slow", *["fine"] * 5, *["failed"] * 5],
        },
        "http2": tally(1800, 0.1, later=2),
        "leaderless": {"kube-controller-manager": 2.0, "kube-scheduler": 1.0},
    }


def row(lines: list[str], name: str) -> list[str]:
    return next(line for line in lines if line.strip().startswith(name)).split(name)[1].split()


def test_medians_and_from_least_to_most_where_they_differ():
    lines = table.way_lines("waiting", [a_round(refused=n, gap=n / 10) for n in (1, 9, 2)])
    assert lines[0] == "waiting (3 rounds)"
    cells = "3000 2 (1..9) 0 0.20 s (0.10..0.90)"
    assert row(lines, "new connections, 50/s") == cells.split()
    assert "    in all: 12 refused" in lines
    assert row(lines, "HTTP/2 writes, 30/s") == ["1800", "0", "2", "0.10", "s"]
    assert row(lines, "total time") == ["60.00", "s"]
    assert max(map(len, lines)) <= 80


def test_a_round_that_failed_says_why():
    assert "  round 2: no luck" in table.way_lines("x", [a_round(), a_round(error="no luck")])


def test_a_machine_that_was_too_busy_is_told():
    busy = a_round()
    busy["probe"]["slots"][3] = "slow"
    lines = table.way_lines("x", [a_round(), busy])
    assert next(line for line in lines if "too busy" in line).startswith("  round 2: ")
    assert "too busy" not in "\n".join(table.way_lines("x", [a_round()]))


def test_ratios_to_the_best():
    ways = {
        LATE: [a_round(refused=1127, gap=6.0, seconds=90)],
        "seamless": [a_round()],
    }
    lines = table.ratio_lines(ways, "seamless")
    assert row(lines, LATE) == ["1127", ":", "0", "20.0", "1.0", "1.0", "1.5"]
    assert row(lines, "seamless") == ["-", "1.0", "1.0", "1.0", "1.0"]
    assert max(map(len, [*lines, *table.NOTES])) <= 80
