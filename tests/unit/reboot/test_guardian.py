from __future__ import annotations

import pytest

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.reboot.guardian import Guarded, guarded_list


def test_the_list_has_a_line_for_each_fact():
    guarded = [Guarded("kube-apiserver", 6443, "kube-apiserver.yaml")]
    assert guarded_list(guarded) == (
        "component=kube-apiserver\nport=6443\nfile=kube-apiserver.yaml\nend=1\n"
    )


@pytest.mark.parametrize("file", ["kube-apiserver.yaml\nport=1", "../x", ""])
def test_a_name_that_is_none_never_gets_into_the_list(file):
    with pytest.raises(SelfhostError, match="can't be the name of kube-apiserver's manifest"):
        guarded_list([Guarded("kube-apiserver", 6443, file)])
