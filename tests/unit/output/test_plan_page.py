from __future__ import annotations

from kubectl_selfhost.output.plan import page

ROWS = [
    {
        "number": 1,
        "name": "agent-program",
        "title": "Store the node agent's program in a Secret of kube-system (amd64)",
        "why": "the program runs in an image that the node has, so the node pulls nothing",
        "unavailable": None,
    },
    {
        "number": 2,
        "name": "hand-over/kube-apiserver",
        "title": "Hand kube-apiserver over from the static pod to the DaemonSet",
        "why": "the agent moves its manifest away, and puts it back unless the run confirms in time",
        "unavailable": "the API, for one start of the API server (1 to 2 s on a fast machine)",
    },
]


def test_the_plan_is_numbered_with_reasons():
    assert page("Pivot node demo", ROWS) == [
        "Pivot node demo",
        "",
        "Steps:",
        "  1. Store the node agent's program in a Secret of kube-system (amd64)",
        "     the program runs in an image that the node has, so the node pulls nothing",
        "  2. Hand kube-apiserver over from the static pod to the DaemonSet",
        "     the agent moves its manifest away, and puts it back unless the run confirms",
        "     in time",
        "     Unavailable: the API, for one start of the API server (1 to 2 s on a fast",
        "     machine)",
        "",
        "Clients miss only what step 2 names as unavailable. Everything else keeps",
        "running.",
    ]


def test_where_nothing_goes_away_that_is_said():
    assert page("Pivot", ROWS[:1])[-1] == "Nothing becomes unavailable during the run."


def test_facts_are_aligned_and_wrapped():
    facts = {"Node": "demo", "Kept in": "/etc/kubernetes/kubectl-selfhost " + "and so on " * 8}
    lines = page("Pivot", ROWS[:1], facts=facts)
    assert lines[2] == "Node:      demo"
    assert lines[3].startswith("Kept in:   /etc/kubernetes/kubectl-selfhost and")
    assert lines[4].startswith("           on and so on")


def test_what_to_know_comes_last():
    assert page("Pivot", ROWS, know=["The node agent renames the manifests."])[-2:] == [
        "Good to know:",
        "  - The node agent renames the manifests.",
    ]


def test_it_fits_80_columns():
    rows = [{**row, "title": "long " * 40, "why": "why " * 50} for row in ROWS]
    lines = page("Pivot", rows, facts={"Node": "n " * 80}, know=["know " * 50])
    assert max(map(len, lines)) <= 80


def test_names_of_the_cluster_are_harmless():
    rows = [{**ROWS[0], "title": "Label node \x1b[2J"}]
    assert "\x1b" not in "\n".join(page("Pivot \x1b[2J", rows, facts={"Node": "\x1b[2J"}))


def test_nodes_on_which_the_same_is_done_are_told_once():
    rows = [
        {**ROWS[1], "number": at, "node": node, "title": f"Hand it over on {node}"}
        for at, node in enumerate(("cp-1", "cp-2", "cp-3"), 1)
    ]
    lines = page("Pivot", rows)
    assert lines[2] == "Steps on cp-1, then the same 1 on cp-2, then on cp-3:"
    assert sum("Hand it over" in line for line in lines) == 1
    assert "steps 1, 2, 3" in " ".join(lines)
    rows[1]["title"] = "Something else on cp-2"
    assert "Steps on cp-2:" in page("Pivot", rows)


def test_what_is_done_on_all_nodes_before_the_rest_is_told_before_it():
    rows = [
        {**ROWS[0], "number": at, "node": f"cp-{at % 2 + 1}", "title": title}
        for at, title in enumerate(("Prepare", "Prepare", "Switch", "Switch"))
    ]
    headings = [line for line in page("Pivot", rows) if line.startswith("Steps on")]
    assert headings == ["Steps on cp-1, then the same 1 on cp-2:"] * 2
