"""For how long nobody led, from what was seen of a lease."""

from __future__ import annotations

from bed.bench.leaders import Sighting, leaderless


def test_a_leader_that_renews_leads_all_the_time():
    assert leaderless([Sighting("a", 0, 0), Sighting("a", 0, 2), Sighting("a", 0, 9)], 10) == 0


def test_from_the_last_renewal_to_the_new_one_s_beginning():
    seen = [
        Sighting("a", 0, 10),
        Sighting("a", 0, 12),
        Sighting("b", 27, 27),
        Sighting("b", 27, 29),
    ]
    assert leaderless(seen, 30) == 15


def test_a_lease_that_is_given_back_says_when():
    given_back = Sighting("", 13, 13)  # client-go's way
    assert leaderless([Sighting("a", 0, 12), given_back, Sighting("b", 14, 14)], 15) == 1
    taken_off = Sighting("", 0, 12)  # ours: the rest stays
    assert leaderless([Sighting("a", 0, 12), taken_off, Sighting("b", 14, 14)], 15) == 2


def test_each_change_counts():
    seen = [Sighting("a", 0, 10), Sighting("b", 13, 20), Sighting("c", 25, 25)]
    assert leaderless(seen, 26) == 3 + 5


def test_nobody_at_the_end():
    assert leaderless([Sighting("a", 0, 10), Sighting("", 0, 10)], 14) == 4
    assert leaderless([Sighting("a", 0, 10)], 24) == 0
    assert leaderless([Sighting("a", 0, 10)], 40) == 30


def test_the_old_leader_leads_as_long_as_its_process_is_there() -> None:
    seen = [Sighting("a", 0, 10), Sighting("b", 13, 13)]
    assert leaderless(seen, 14, [4.0, 11.5]) == 1.5
    assert leaderless(seen, 14, [11.5, 12.5]) == 1.5  # the second one was started again
    assert leaderless(seen, 14, [9.0]) == 3  # it was seen to renew later than that
    assert leaderless(seen, 14, [13.5]) == 3  # an end after the change is not the old leader's
