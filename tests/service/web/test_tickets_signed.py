"""Tickets as such: who can use which, where, and for how long."""

import string
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.quotas.base import Limits
from sluice_service.web.auth import Principal
from sluice_service.web.tickets import MAX_MESSAGE_CHARACTERS, MAX_TICKET_CHARACTERS, Tickets
from sluice_wire.errors import SluiceError

SECRET = "a secret of more than sixteen characters"
RESUME_SECONDS = 780.0
ALICE = Principal("alice", ("tides", "demo"), Limits(streams=3, messages_per_hour=40))
ROUTE = "/chat/stream"
PROSE = Path(__file__).parents[3] / "LICENSE"

TEXT = st.text(max_size=300)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(clock: Clock) -> Tickets:
    return Tickets(SECRET, RESUME_SECONDS, clock)


def is_refused(tickets: Tickets, token: str, route: str = ROUTE) -> bool:
    try:
        tickets.open_(token, route)
    except SluiceError as error:
        return error.code == "invalid_credentials"
    return False


@settings(max_examples=200)
@given(user=st.text(min_size=1, max_size=128), agents=st.lists(TEXT, max_size=5), message=st.none() | TEXT)
def test_opened_ticket_says_what_it_was_issued_for(user: str, agents: list[str], message: str | None) -> None:
    tickets, principal = Tickets(SECRET, RESUME_SECONDS), Principal(user, tuple(agents), Limits(7, 1234))

    ticket = tickets.open_(tickets.issue(principal, ROUTE, message), ROUTE)

    assert (ticket.principal, ticket.route, ticket.message) == (principal, ROUTE, message)
    assert ticket.may_start


def test_each_ticket_has_an_id_of_its_own(tickets: Tickets) -> None:
    ids = {tickets.open_(tickets.issue(ALICE, ROUTE, "hi"), ROUTE).id for _ in range(100)}

    assert len(ids) == 100


def test_ticket_opened_twice_is_the_same(tickets: Tickets) -> None:
    token = tickets.issue(ALICE, ROUTE, "hi")

    assert tickets.open_(token, ROUTE) == tickets.open_(token, ROUTE)


def test_instances_with_the_same_secret_know_each_others_tickets(clock: Clock) -> None:
    token = Tickets(SECRET, RESUME_SECONDS, clock).issue(ALICE, ROUTE)

    assert Tickets(SECRET, RESUME_SECONDS, clock).open_(token, ROUTE).principal == ALICE
    assert is_refused(Tickets(SECRET + "!", RESUME_SECONDS, clock), token)


ISSUED = Tickets(SECRET, RESUME_SECONDS).issue(ALICE, ROUTE, "hi")


@settings(max_examples=500)
@given(data=st.data())
def test_any_changed_ticket_is_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(ISSUED)))
    end = data.draw(st.integers(start, min(len(ISSUED), start + 5)))
    put_in = data.draw(st.text(string.ascii_letters + string.digits + "-_.=+/ \n\0é", max_size=5))

    changed = ISSUED[:start] + put_in + ISSUED[end:]

    assert is_refused(Tickets(SECRET, RESUME_SECONDS), changed) == (changed != ISSUED)


def test_any_changed_character_is_noticed() -> None:
    # The last one of a signature also carries bits that no decoder looks at.
    tickets, letters = Tickets(SECRET, RESUME_SECONDS), string.ascii_letters + string.digits + "-_."

    changed = [ISSUED[:at] + letter + ISSUED[at + 1 :] for at in range(len(ISSUED)) for letter in letters]

    assert [token for token in changed if not is_refused(tickets, token)] == [ISSUED] * len(ISSUED)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_no_other_text_is_a_ticket(text: str) -> None:
    assert is_refused(Tickets(SECRET, RESUME_SECONDS), text)


@pytest.mark.parametrize("key", ["sk-0123456789abcdef0123456789abcdef", "alice-key", "", "a.b", "x" * 10_000])
def test_long_lived_key_is_no_ticket(tickets: Tickets, key: str) -> None:
    assert is_refused(tickets, key)


def test_ticket_is_for_its_own_route_only(tickets: Tickets) -> None:
    token = tickets.issue(ALICE, ROUTE)

    assert is_refused(tickets, token, "/chat/onboarding-stream")
    assert tickets.open_(token, ROUTE).route == ROUTE


@pytest.mark.parametrize(("age_seconds", "may_start"), [(0, True), (60, True), (60.5, False), (840, False)])
def test_turn_may_be_started_for_a_minute(tickets: Tickets, clock: Clock, age_seconds: float, may_start: bool) -> None:
    token = tickets.issue(ALICE, ROUTE)

    clock.seconds += age_seconds
    ticket = tickets.open_(token, ROUTE)

    assert (ticket.may_start, ticket.age_seconds) == (may_start, age_seconds)


def test_ticket_expires_when_its_stream_can_no_longer_be_resumed(tickets: Tickets, clock: Clock) -> None:
    token = tickets.issue(ALICE, ROUTE)

    clock.seconds += 60 + RESUME_SECONDS + 0.5

    assert is_refused(tickets, token)


@pytest.mark.parametrize(("behind_seconds", "refused"), [(1, False), (60, True)])
def test_clocks_of_instances_may_differ_a_little(
    tickets: Tickets, clock: Clock, behind_seconds: float, refused: bool
) -> None:
    token = tickets.issue(ALICE, ROUTE)

    clock.seconds -= behind_seconds

    assert is_refused(tickets, token) is refused


def test_longest_message_of_prose_fits_into_an_address(tickets: Tickets) -> None:
    message = PROSE.read_text(encoding="utf-8")[:MAX_MESSAGE_CHARACTERS]
    assert len(message) == MAX_MESSAGE_CHARACTERS

    token = tickets.issue(ALICE, ROUTE, message)

    assert len(token) <= MAX_TICKET_CHARACTERS
    assert quote(token, safe="") == token
    assert tickets.open_(token, ROUTE).message == message


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("a" * (MAX_MESSAGE_CHARACTERS + 1), "at most 8000 characters"),
        ("".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(MAX_MESSAGE_CHARACTERS)), "POST /chat"),
    ],
)
def test_message_too_long_for_an_address_is_refused(tickets: Tickets, message: str, problem: str) -> None:
    with pytest.raises(SluiceError) as refused:
        tickets.issue(ALICE, ROUTE, message)

    assert (refused.value.code, refused.value.param) == ("invalid_request", "message")
    assert problem in refused.value.report().what
