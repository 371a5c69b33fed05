"""Who gives way when there are too many, and how often one address may be wrong."""

from __future__ import annotations

import pytest

from kernelgw.api import peers
from kernelgw.api.peers import Door, Tries, network


class Guest:
    def __init__(self, door: Door, peer: str) -> None:
        self.peer = peer
        self.thrown_out = False
        self.inside = door.enter(self)

    def throw_out(self) -> None:
        self.thrown_out = True


def thrown_out(guests: list[Guest]) -> list[int]:
    return [n for n, guest in enumerate(guests) if guest.thrown_out]


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_what_one_peer_has_for_itself(address: str, peer: str) -> None:
    assert network(address) == peer


def test_of_one_address_the_oldest_strangers_give_way() -> None:
    door = Door(100, 3)
    others = [Guest(door, "b") for _ in range(3)]
    guests = [Guest(door, "a") for _ in range(5)]
    assert thrown_out(guests) == [0, 1]
    assert thrown_out(others) == []
    assert (door.inside, door.strangers) == (6, 6)


def test_of_all_the_oldest_strangers_give_way() -> None:
    door = Door(4, 3)
    guests = [Guest(door, str(n)) for n in range(6)]
    assert thrown_out(guests) == [0, 1]
    assert all(guest.inside for guest in guests)
    assert door.inside == 4


def test_who_is_known_stays() -> None:
    door = Door(4, 2)
    known = [Guest(door, "a") for _ in range(2)]
    for guest in known:
        door.know(guest)
        door.know(guest)
    guests = [Guest(door, "a") for _ in range(5)]
    assert thrown_out(known) == []
    assert thrown_out(guests) == [0, 1, 2]
    assert (door.inside, door.strangers) == (4, 2)


def test_when_all_are_known_nobody_enters_until_one_leaves() -> None:
    door = Door(2, 2)
    known = [Guest(door, "a") for _ in range(2)]
    for guest in known:
        door.know(guest)
    assert not Guest(door, "b").inside
    door.leave(known[0])
    assert Guest(door, "b").inside
    assert not known[1].thrown_out


def test_nothing_is_kept_of_who_has_left() -> None:
    door = Door(10, 10)
    guests = [Guest(door, str(n)) for n in range(10)]
    door.know(guests[0])
    for guest in guests:
        door.leave(guest)
    assert (door.inside, door.strangers, door._of) == (0, 0, {})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_and_as_many_a_minute() -> None:
    clock = Clock()
    tries = Tries(6, clock)
    assert [tries.failed("a") for _ in range(6)] == [0] * 6
    assert tries.failed("a") == pytest.approx(10)
    clock.now += 4
    assert tries.failed("a") == pytest.approx(6)
    assert tries.failed("b") == 0
    clock.now += 6
    # Those that were not listened to have not made it worse.
    assert tries.failed("a") == 0
    assert tries.failed("a") == pytest.approx(10)
    clock.now += 60
    assert [tries.failed("a") for _ in range(7)] == [0] * 6 + [pytest.approx(10)]


def test_a_steady_trickle_of_as_many_is_listened_to() -> None:
    clock = Clock()
    tries = Tries(6, clock)
    for _ in range(100):
        clock.now += 10
        assert tries.failed("a") == 0


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "REMEMBERED", 3)
    tries = Tries(1, Clock())
    for peer in "abcd":
        assert tries.failed(peer) == 0
    assert tries.failed("d") > 0
    # The one whose turn was longest ago is forgotten, and nobody else.
    assert tries.failed("b") > 0
    assert tries.failed("a") == 0
    assert len(tries._clear_at) == 3
