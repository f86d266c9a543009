"""Any name that a node may have gives names that the API server takes."""

from __future__ import annotations

import re
import string

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubectl_selfhost.controlplane.component import COMPONENTS, group_named_after
from kubectl_selfhost.names import SHARED_BY_ALL, cut
from kubectl_selfhost.plans.pivot.checks.admission import _trial

#: IsDNS1123Subdomain and IsValidLabelValue (k8s.io/apimachinery/pkg/util/validation).
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

_parts = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,12}[a-z0-9])?", fullmatch=True)
#: A node's name is a DNS subdomain of at most 253 characters.
node_names = st.lists(_parts, min_size=1, max_size=20).map(".".join).filter(lambda n: len(n) <= 253)

AWS = ("ip-10-0-0-11.ec2.internal", "ip-172-31-10-201.eu-central-1.compute.internal")


def is_name(text: str) -> bool:
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def is_prefix(text: str) -> bool:
    """Return whether the API server takes the text as a generateName: its last dash stands for what
    the server adds.
    """
    return is_name(re.sub("-$", "a", text))


def any_node(test):
    for name in (*AWS, "true", "a" * 253, "a." * 126 + "a", "a-" * 120 + "a"):
        test = example(name)(test)
    return settings(max_examples=300, deadline=None)(given(node_names)(test))


@any_node
def test_the_pods_that_are_tried_have_valid_names(node: str):
    for name in (f"node-debugger-selfhost-{node}", f"kubectl-selfhost-agent-{node}", node):
        made = _trial({"metadata": {"name": name}})["metadata"]
        assert "name" not in made
        assert is_prefix(made["generateName"])


@any_node
def test_a_group_fits_a_label_and_the_names_of_its_daemonsets(node: str):
    group = group_named_after(node)
    assert _LABEL.fullmatch(group)
    assert group != SHARED_BY_ALL
    for component in COMPONENTS:
        name = component.of(group).daemonset
        assert is_name(name)
        assert len(name) <= 63
        assert component.groups_in([name]) == [component]
        assert component.groups_in([name])[0].group == group


@any_node
def test_two_nodes_have_two_groups(node: str):
    assert group_named_after(node) != group_named_after(cut(f"x{node}", 253))


@given(st.text(string.ascii_lowercase + "-.", max_size=12), st.integers(0, 12))
def test_what_is_cut_does_not_end_in_a_dash_or_a_dot(name: str, length: int):
    assert len(cut(name, length)) <= length
    assert not cut(name, length).endswith(("-", "."))
