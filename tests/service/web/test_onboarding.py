"""The guided first conversation: when it moves on, what the model is told, and that it outlives the function."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.running_function import RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import CLOSE, STREAM_HEAD, ScriptedUpstream, answer, chunk, response
from tests.support.simple_api import Body, agents_file, ask, bodies, complete, events, new_id, ticket

ROUTE = "/chat/onboarding-stream"
USERS = [f"user{number}" for number in range(12)]


@pytest.fixture(scope="module")
def environment(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    folder = tmp_path_factory.mktemp("onboarding")
    return {
        "AGENTS_FILE": agents_file(folder, shared_upstream),
        "API_KEYS": json.dumps([key_entry(f"{user}-key", user) for user in USERS]),
        "CONVERSATIONS": f"sqlite:///{Path(folder, 'conversations.db')}",
    }


@pytest.fixture(scope="module")
def function(environment: Mapping[str, str]) -> Iterator[RunningFunction]:
    with running_function(environment) as function:
        yield function


@pytest.fixture(scope="module")
def newcomers() -> Iterator[str]:
    """Users who have said nothing yet, each given once."""
    return iter(USERS)


@pytest.fixture
def client(function: RunningFunction, newcomers: Iterator[str]) -> Iterator[httpx.Client]:
    with client_of(function, next(newcomers)) as client:
        yield client


def client_of(function: RunningFunction, user: str) -> httpx.Client:
    return httpx.Client(base_url=function.url, headers={"Authorization": f"Bearer {user}-key"}, timeout=20)


def tell(client: httpx.Client, message: str, **query: str) -> list[Body]:
    """One turn on the EventSource route; its events."""
    reply = client.get(ROUTE, params={"token": ticket(client, ROUTE), "message": message, **query})
    assert reply.status_code == 200
    return bodies(reply.content)


def standing(client: httpx.Client) -> Body:
    reply = client.get("/v1/onboarding/guide")
    reply.raise_for_status()
    body: Body = reply.json()
    return body


def told_to_the_model(upstream: ScriptedUpstream) -> str:
    return "\n".join(m["content"] for m in upstream.calls[-1].body["messages"] if m["role"] == "system")


def test_complete_event_carries_the_progress(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    lasts = [tell(client, message)[-1] for message in ("learn to sail", "by June")]
    assert [last["type"] for last in lasts] == ["complete", "complete"]
    progress = [{name: last[name] for name in ("step", "total", "done")} for last in lasts]
    assert progress == [{"step": 1, "total": 2, "done": False}, {"step": 2, "total": 2, "done": True}]
    assert [call.body["model"] for call in upstream.calls] == ["m-4", "m-4"]


def test_model_is_told_the_step_and_the_answers_so_far(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    tell(client, "learn to sail")
    first = told_to_the_model(upstream)
    assert "What would you like to achieve?" in first
    assert "By when?" in first
    tell(client, "by June")
    second = told_to_the_model(upstream)
    assert "question 2: By when?" in second
    assert '"goal": "learn to sail"' in second


def test_answers_are_context_afterwards_on_every_route(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    for message in ("learn to sail", "by June"):
        tell(client, message)
    later: list[Callable[[], object]] = [
        lambda: tell(client, "and now?"),
        lambda: ask(client, "and now?", model="guide"),
        lambda: complete(client, "and now?", model="guide"),
    ]
    for turn in later:
        turn()
        assert '{"goal": "learn to sail", "when": "by June"}' in told_to_the_model(upstream)
        assert "question" not in told_to_the_model(upstream)
    assert (standing(client)["step"], standing(client)["done"]) == (2, True)


@pytest.mark.parametrize(
    "script",
    [[STREAM_HEAD, chunk("half"), CLOSE], [STREAM_HEAD, CLOSE], response("401 No", b"{}")],
    ids=["interrupted", "never begun", "refused"],
)
def test_failed_exchange_does_not_move_on(client: httpx.Client, upstream: ScriptedUpstream, script: Any) -> None:
    upstream.script = script
    assert tell(client, "lost answer")[-1]["type"] == "error"
    assert (standing(client)["step"], standing(client)["answers"]) == (0, {})
    upstream.script = answer("fine")
    assert tell(client, "kept answer")[-1]["step"] == 1
    assert standing(client)["answers"] == {"goal": "kept answer"}


def test_onboarding_agent_behaves_so_on_every_route(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    first = bodies(ask(client, "learn to sail", model="guide").content)[-1]
    assert (first["step"], first["total"], first["done"]) == (1, 2, False)
    second = complete(client, "by June", model="guide").json()["sluice"]
    assert second == {"step": 2, "total": 2, "done": True}, "nothing was to be stored, so nothing is said of storing"
    assert standing(client)["answers"] == {"goal": "learn to sail", "when": "by June"}
    assert len(upstream.calls) == 2


def test_reconnect_moves_on_once(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    token, params = ticket(client, ROUTE), {"message": "learn to sail"}
    raw = client.get(ROUTE, params={**params, "token": token}).content
    last_id = events(raw)[0][0]
    for headers in ({}, {"Last-Event-ID": last_id}):
        assert bodies(client.get(ROUTE, params={**params, "token": token}, headers=headers).content)[-1]["step"] == 1
    assert standing(client)["step"] == 1
    assert len(upstream.calls) == 1


def test_history_of_the_conversation_is_context_too(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    for message in ("learn to sail", "by June"):
        tell(client, message, conversation_id=conversation_id)
    roles = [message["role"] for message in upstream.calls[-1].body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_delete_starts_again(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    tell(client, "learn to sail")
    assert client.delete("/v1/onboarding/guide").status_code == 204
    assert standing(client) == {
        "agent": "guide",
        "step": 0,
        "total": 2,
        "done": False,
        "question": "What would you like to achieve?",
        "answers": {},
    }
    assert tell(client, "learn to dive")[-1]["step"] == 1
    assert "learn to sail" not in told_to_the_model(upstream)


def test_unknown_agent_has_no_onboarding(client: httpx.Client) -> None:
    for reply in (client.get("/v1/onboarding/nobody"), client.delete("/v1/onboarding/nobody")):
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


def test_progress_survives_a_restart_of_the_function(
    environment: Mapping[str, str], upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    kept = {**environment, "CONVERSATIONS": f"sqlite:///{tmp_path / 'kept.db'}"}
    with running_function(kept) as before, client_of(before, "user0") as client:
        assert tell(client, "learn to sail")[-1]["step"] == 1
    with running_function(kept) as after, client_of(after, "user0") as client:
        assert standing(client)["question"] == "By when?"
        assert tell(client, "by June")[-1]["done"] is True
    assert '"goal": "learn to sail"' in told_to_the_model(upstream)


def test_agents_tell_how_many_questions_they_ask(client: httpx.Client) -> None:
    steps = {model["id"]: model["onboarding_steps"] for model in client.get("/v1/models").json()["data"]}
    assert (steps["guide"], steps["assistant"]) == (2, 0)
