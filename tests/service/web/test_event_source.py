"""What a browser's EventSource meets: tickets, ids that name the stream, resumption, errors as events."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.quotas.base import Limits
from sluice_service.web.auth import Principal
from sluice_service.web.tickets import START_SECONDS, Tickets
from tests.support.running_function import RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import CLOSE, HANG, STREAM_HEAD, Script, ScriptedUpstream, Step, answer, chunk, response
from tests.support.simple_api import agents_file, bodies, content, events, new_id, read_until, stored, ticket

ROUTE = "/chat/stream"
SECRET = "a secret of this test's own"
LONG_LIVED_KEY = "long-lived-key-0123456789"


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    keys = [
        key_entry(LONG_LIVED_KEY, "alice"),
        key_entry("single-key", "single", limits={"streams": 1}),
        key_entry("rare-key", "rare", limits={"messages_per_hour": 1}),
        key_entry("narrow-key", "narrow", agents=["capped"]),
    ]
    environment = {
        "AGENTS_FILE": agents_file(tmp_path_factory.mktemp("agents"), shared_upstream),
        "API_KEYS": json.dumps(keys),
        "TICKET_SECRET": SECRET,
        "HEARTBEAT_SECONDS": "0.3",
        "LOG_LEVEL": "DEBUG",
    }
    with running_function(environment) as function:
        yield function


def keyed(function: RunningFunction, key: str = LONG_LIVED_KEY) -> httpx.Client:
    return httpx.Client(base_url=function.url, headers={"Authorization": f"Bearer {key}"}, timeout=20)


@pytest.fixture(scope="module")
def client(function: RunningFunction) -> Iterator[httpx.Client]:
    with keyed(function) as client:
        yield client


@pytest.fixture(scope="module")
def page(function: RunningFunction) -> Iterator[httpx.Client]:
    """What runs in the browser: without a key."""
    with httpx.Client(base_url=function.url, timeout=20) as page:
        yield page


def listen(
    page: httpx.Client, token: str, last_event_id: str | None = None, route: str = ROUTE, **query: str
) -> httpx.Response:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    return page.get(route, params={"message": "hi", **query, "token": token}, headers=headers)


def code_of(reply: httpx.Response) -> str:
    """The code of the only event, an error's."""
    (body,) = bodies(reply.content)
    assert (reply.status_code, body["type"]) == (200, "error")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert {"error", "detail", "correlation_id", "code"} <= body.keys()
    code: str = body["code"]
    return code


def test_first_bytes_name_the_stream_and_every_event_has_its_number(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    upstream.script = answer("Hel", "lo")
    reply = listen(page, ticket(client), conversation_id="es-1")
    stream_id = reply.headers["x-stream-id"]
    assert reply.content.startswith(f"id: {stream_id}.0\n\nid: {stream_id}.1\ndata: ".encode())
    told = events(reply.content)
    assert [event_id for event_id, _ in told] == [f"{stream_id}.{n}" for n in (1, 2, 3)]
    assert [body["type"] for _, body in told] == ["chunk", "chunk", "complete"]
    assert content(reply.content) == "Hello"
    last = told[-1][1]
    assert (last["status"], last["is_final"], last["conversation_id"], last["persisted"]) == ("complete", True, "es-1", True)
    assert [message["content"] for message in stored(client, "es-1")] == ["hi", "Hello"]


def test_id_comes_before_the_model_has_said_anything(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    go_on = threading.Event()

    def script(_: Any) -> Iterator[Step]:
        yield STREAM_HEAD
        go_on.wait(10)
        yield from answer("late")[1:]

    upstream.script = script  # type: ignore[assignment]
    with page.stream("GET", ROUTE, params={"message": "hi", "token": ticket(client)}) as reply:
        pieces = reply.iter_raw()
        first = next(pieces)
        go_on.set()
        rest = b"".join(pieces)
    assert first == f"id: {reply.headers['x-stream-id']}.0\n\n".encode()
    assert content(rest) == "late"


def test_heartbeat_of_a_silent_stream_dispatches_nothing(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    upstream.script = [STREAM_HEAD, 0.7, *answer("a")[2:]]
    raw = listen(page, ticket(client)).content
    assert raw.count(b": ping\n") >= 2
    assert b": ping\n\n" not in raw


def test_reconnect_resumes_with_the_same_bytes_and_asks_the_model_once(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    upstream.script = answer("one", "two", "three")
    token = ticket(client)
    raw = listen(page, token).content
    first, *frames = [block + b"\n\n" for block in raw.split(b"\n\n")[:-1]]
    stream_id = first.decode().removeprefix("id: ").partition(".")[0]
    for cursor in range(1, len(frames)):
        again = listen(page, token, f"{stream_id}.{cursor}")
        assert (again.status_code, again.content) == (200, b"".join(frames[cursor:]))
    assert listen(page, token, f"{stream_id}.0").content == raw
    assert listen(page, token, f"{stream_id}.{len(frames)}").status_code == 204
    assert listen(page, token).content == raw
    assert len(upstream.calls) == 1


def test_reader_that_drops_mid_stream_goes_live_again(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    go_on = threading.Event()

    def script(_: Any) -> Iterator[Step]:
        yield from answer("one")[:4]
        go_on.wait(10)
        yield from answer("two")[2:]

    upstream.script = script  # type: ignore[assignment]
    token = ticket(client)
    with page.stream("GET", ROUTE, params={"message": "hi", "token": token}) as reply:
        seen = read_until(reply, b'"one"')
    ((last_id, _),) = events(seen)
    request = page.build_request("GET", ROUTE, params={"message": "hi", "token": token}, headers={"Last-Event-ID": last_id})
    again = page.send(request, stream=True)
    go_on.set()
    rest = again.read()
    assert content(seen) + content(rest) == "onetwo"
    assert len(upstream.calls) == 1


def test_failed_stream_is_not_asked_again(client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.script = [STREAM_HEAD, chunk("half"), CLOSE]
    token = ticket(client)
    raw = listen(page, token).content
    last_id, last = events(raw)[-1]
    assert (last["type"], last["code"], last["is_final"]) == ("error", "upstream_truncated", True)
    assert listen(page, token, last_id).status_code == 204
    assert listen(page, token).content == raw
    assert len(upstream.calls) == 1


def test_message_may_travel_in_the_ticket(client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream) -> None:
    reply = page.get(ROUTE, params={"token": ticket(client, message="secret words ☃")})
    assert bodies(reply.content)[-1]["type"] == "complete"
    assert upstream.calls[0].body["messages"][-1]["content"] == "secret words ☃"


def test_turn_that_is_asked_again_under_its_name_replaces_what_is_stored(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    upstream.script = [STREAM_HEAD, chunk("half"), CLOSE]
    assert bodies(listen(page, ticket(client, turn="t-1"), conversation_id="es-named").content)[-1]["type"] == "error"
    upstream.script = answer("whole")
    assert content(listen(page, ticket(client, turn="t-1"), conversation_id="es-named").content) == "whole"
    assert [message["content"] for message in stored(client, "es-named")] == ["hi", "whole"]
    listen(page, ticket(client, turn="t-2"), conversation_id="es-named")
    assert len(stored(client, "es-named")) == 4


# Tickets that are not accepted


def refused(reply: httpx.Response) -> bool:
    return (reply.status_code, reply.json()["code"]) == (401, "invalid_credentials") and "www-authenticate" in reply.headers


def test_ticket_for_the_other_route_is_401(client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream) -> None:
    assert refused(listen(page, ticket(client, "/chat/onboarding-stream")))
    assert refused(listen(page, ticket(client, ROUTE), route="/chat/onboarding-stream"))
    assert not upstream.calls


def test_second_turn_with_one_ticket_is_401(client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream) -> None:
    token = ticket(client)
    assert listen(page, token, message="first").status_code == 200
    assert refused(listen(page, token, message="second"))
    assert refused(listen(page, token, message="first", conversation_id="another"))
    assert len(upstream.calls) == 1


def test_message_in_the_ticket_cannot_be_changed_in_the_address(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    listen(page, ticket(client, message="signed"), message="forged")
    assert upstream.calls[0].body["messages"][-1]["content"] == "signed"


def test_ticket_that_is_too_old_to_start_still_resumes(page: httpx.Client, upstream: ScriptedUpstream) -> None:
    def aged(seconds: float) -> str:
        made = Tickets(SECRET, 600, now=lambda: time.time() - seconds)
        return made.issue(Principal("alice", ("*",), Limits(10, 100)), ROUTE)

    assert refused(listen(page, aged(START_SECONDS + 1)))
    assert not upstream.calls
    assert listen(page, aged(START_SECONDS - 5)).status_code == 200
    assert refused(listen(page, aged(100_000)))


def test_ticket_of_another_secret_is_401(page: httpx.Client, upstream: ScriptedUpstream) -> None:
    forged = Tickets("another secret of the same length", 600).issue(Principal("alice", ("*",), Limits(10, 100)), ROUTE)
    assert refused(listen(page, forged))
    assert not upstream.calls


@given(place=st.integers(0, 10_000), letter=st.sampled_from("ABab01-_."))
@settings(max_examples=100, deadline=None)
def test_tampered_ticket_is_401(client: httpx.Client, page: httpx.Client, place: int, letter: str) -> None:
    token = _one_ticket(client)
    at = place % len(token)
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token:
        assert refused(listen(page, changed))


def _one_ticket(client: httpx.Client, made: list[str] = []) -> str:  # noqa: B006 - kept for all examples
    if not made:
        made.append(ticket(client))
    return made[0]


@pytest.mark.parametrize("route", [ROUTE, "/chat/onboarding-stream"])
def test_long_lived_key_in_the_address_is_refused(function: RunningFunction, page: httpx.Client, route: str) -> None:
    assert refused(page.get(route, params={"message": "hi", "token": LONG_LIVED_KEY}))
    without = page.get(route, params={"message": "hi"}, headers={"Authorization": f"Bearer {LONG_LIVED_KEY}"})
    assert (without.status_code, without.json()["code"]) == (401, "missing_credentials")
    assert LONG_LIVED_KEY not in function.log()


def test_ticket_is_no_bearer_key_and_opens_no_other_route(client: httpx.Client, page: httpx.Client) -> None:
    token = ticket(client)
    for headers, query in (({"Authorization": f"Bearer {token}"}, {}), ({}, {"token": token})):
        assert page.get("/v1/models", headers=headers, params=query).status_code == 401


def test_no_query_string_is_ever_logged(
    function: RunningFunction, client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    token, marker = ticket(client), f"marker{new_id()}"
    listen(page, token, message=marker)
    listen(page, token, "nonsense", message=marker)
    listen(page, token, message=marker + "2")
    last = page.get(f"{ROUTE}/nowhere?x={marker}")
    function.wait_for_log(
        f"response_complete.*{last.headers['x-request-id']}|{last.headers['x-request-id']}.*response_complete"
    )
    assert upstream.calls
    for secret in (marker, token, quote(token), token[:40]):
        assert secret not in function.log()


# Errors after the ticket was accepted


def test_unknown_agent_is_an_error_event(client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream) -> None:
    assert code_of(listen(page, ticket(client), model="nobody")) == "model_not_found"
    assert not upstream.calls


def test_agent_that_the_key_may_not_use_is_an_error_event(
    function: RunningFunction, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    with keyed(function, "narrow-key") as narrow:
        assert code_of(listen(page, ticket(narrow), model="assistant")) == "permission_denied"
        assert bodies(listen(page, ticket(narrow)).content)[-1]["type"] == "complete"
        onboarding = "/chat/onboarding-stream"
        assert code_of(listen(page, ticket(narrow, onboarding), route=onboarding)) == "model_not_found"
    assert upstream.calls[0].body["model"] == "m-2"


@pytest.mark.parametrize(
    "query", [{"message": ""}, {"model": ""}, {"conversation_id": "a/b"}], ids=["message", "model", "conversation_id"]
)
def test_address_that_is_not_valid_is_an_error_event(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream, query: dict[str, str]
) -> None:
    assert code_of(listen(page, ticket(client), **query)) == "invalid_request"
    assert not upstream.calls


def test_missing_message_is_an_error_event(client: httpx.Client, page: httpx.Client) -> None:
    assert code_of(page.get(ROUTE, params={"token": ticket(client)})) == "invalid_request"


@pytest.mark.parametrize("last", ["nonsense", "1", f"{'0' * 32}.-1", f"{'g' * 32}.1"])
def test_malformed_last_event_id_is_an_error_event(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream, last: str
) -> None:
    assert code_of(listen(page, ticket(client), last)) == "invalid_request"
    assert not upstream.calls


def test_last_event_id_of_another_stream_is_an_error_event(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    other = listen(page, ticket(client)).headers["x-stream-id"]
    assert code_of(listen(page, ticket(client), f"{other}.1")) == "not_found"
    assert len(upstream.calls) == 1


def test_last_event_id_beyond_the_end_is_an_error_event(
    client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    token = ticket(client)
    stream_id = listen(page, token).headers["x-stream-id"]
    assert code_of(listen(page, token, f"{stream_id}.99")) == "invalid_request"
    assert len(upstream.calls) == 1


def test_upstream_refusal_is_an_error_event(client: httpx.Client, page: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.script = response("401 No", b"{}")
    reply = listen(page, ticket(client))
    assert code_of(reply) == "upstream_auth_failed"
    assert events(reply.content)[0][0] == f"{reply.headers['x-stream-id']}.1"


def test_limit_is_an_error_event_and_429_in_full_for_tickets(
    function: RunningFunction, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    with keyed(function, "rare-key") as rare:
        first, second = ticket(rare), ticket(rare)
        assert listen(page, first).headers["x-ratelimit-remaining-requests"] == "0"
        assert code_of(listen(page, second)) == "rate_limited"
        assert listen(page, first).status_code == 200  # a resume is free
        reply = rare.post("/v1/tickets", json={"route": ROUTE})
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limited")
    assert 3500 < int(reply.headers["retry-after"]) <= 3600
    assert (reply.headers["x-ratelimit-limit-requests"], reply.headers["x-ratelimit-remaining-requests"]) == ("1", "0")
    assert len(upstream.calls) == 1


def test_stream_too_many_is_429_for_tickets(
    function: RunningFunction, page: httpx.Client, upstream: ScriptedUpstream
) -> None:
    upstream.script = [STREAM_HEAD, chunk("a"), HANG]
    with keyed(function, "single-key") as single:
        first, second = ticket(single), ticket(single)
        with page.stream("GET", ROUTE, params={"message": "hi", "token": first}) as running:
            pieces = running.iter_raw()  # held: an iterator that is dropped closes the connection
            next(pieces)
            refusal = single.post("/v1/tickets", json={"route": ROUTE})
            assert code_of(listen(page, second)) == "too_many_streams"
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (429, "too_many_streams")
    assert int(refusal.headers["retry-after"]) >= 1


@pytest.mark.parametrize("body", [{}, {"route": "/chat"}, {"route": ROUTE, "message": ""}, {"route": ROUTE, "more": 1}])
def test_ticket_that_is_not_asked_for_properly_is_400(client: httpx.Client, body: dict[str, str]) -> None:
    reply = client.post("/v1/tickets", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_request")


# Property

CHUNK = {"type", "content", "sequence", "is_final", "correlation_id"}
ENDS: dict[str, Script] = {
    "complete": answer("")[-4:],
    "upstream_truncated": [CLOSE],
    "upstream_invalid_response": [b"data: {nope\n\n", CLOSE],
    "upstream_unavailable": [b'data: {"error":{"message":"x","code":500}}\n\n', CLOSE],
}


@given(
    pieces=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=6),
    end=st.sampled_from(sorted(ENDS)),
)
@settings(max_examples=100, deadline=None)
def test_events_routed_to_the_right_handler(
    client: httpx.Client, page: httpx.Client, shared_upstream: ScriptedUpstream, pieces: list[str], end: str
) -> None:
    """By `type` alone: text is `chunk`, and after it comes one `complete` or one `error`, whatever upstream does."""
    shared_upstream.script = [STREAM_HEAD, *map(chunk, pieces), *ENDS[end]]
    handled: dict[str, list[dict[str, Any]]] = {"chunk": [], "complete": [], "error": []}
    *before, last = bodies(listen(page, ticket(client)).content)
    for body in before:
        handled[body["type"]].append(body)
    assert [body["content"] for body in handled["chunk"]] == pieces
    assert all(body.keys() == CHUNK and not body["is_final"] for body in handled["chunk"])
    assert not handled["complete"]
    assert not handled["error"]
    assert last["is_final"]
    assert last["type"] == ("complete" if end == "complete" else "error")
    assert last.get("code", "complete") == end
