"""What a person types after ``kubectl selfhost rollout``."""

from __future__ import annotations

import pytest
import typer

from kubectl_selfhost.cli.flags import flag_name
from kubectl_selfhost.cli.verbs.rollout import _settings


def test_a_flag_that_is_given_twice_has_both_values_in_order():
    typed = ["service-account-issuer=https://a", "v=4", "--service_account_issuer=https://b?c=d"]
    assert _settings(typed) == {
        "service-account-issuer": ["https://a", "https://b?c=d"],
        "v": ["4"],
    }


def test_a_flags_name_is_written_as_the_components_read_it():
    assert flag_name("--leader_elect") == "leader-elect"


@pytest.mark.parametrize("typed", ["v", "=4", "--=4"])
def test_what_is_no_setting_is_refused(typed):
    with pytest.raises(typer.BadParameter, match="is not NAME=VALUE"):
        _settings([typed])
