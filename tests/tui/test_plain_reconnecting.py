"""Lost connections as `sluice ask` tells them: on standard error, so that the answer stays one text."""

import io
import json
from typing import Any

import pytest

from sluice_tui.api import Endpoint
from sluice_tui.backoff import Patience
from sluice_tui.connection import Connection
from sluice_tui.plain.asking import Question, ask
from sluice_tui.plain.exit_codes import ExitCode
from sluice_tui.plain.printers import JsonPrinter, TextPrinter
from sluice_wire.errors import SluiceError
from tests.tui.fake_openai import BROKEN, RESET, FakeOpenAI, Reply, whole


class Asked:
    """What `sluice ask` says and leaves with, without a process; it waits no longer than it must."""

    def __init__(self, server: FakeOpenAI) -> None:
        self._server = server
        self._out, self._errors = io.StringIO(), io.StringIO()

    async def ask(self, *, as_json: bool = False) -> tuple[ExitCode, str, str]:
        async def sleep(_: float) -> None: ...

        printer = JsonPrinter(self._out) if as_json else TextPrinter(self._out, self._errors)
        patience = Patience(chance=lambda: 0.5, sleep=sleep)
        async with Connection(Endpoint(self._server.url), patience=patience) as connection:
            code = await ask(Question("hi"), connection, printer)
        return code, self._out.getvalue(), self._errors.getvalue()


@pytest.fixture
def asked(server: FakeOpenAI) -> Asked:
    return Asked(server)


async def test_a_dropped_connection_is_told_beside_the_answer_which_goes_on(asked: Asked, server: FakeOpenAI) -> None:
    server.stream_id = "s1"
    server.script = ["one ", "two ", RESET]
    server.resumptions = [[RESET], whole("three")]

    told = await asked.ask()

    lost = "sluice: the connection is lost; reconnecting"
    assert told == (0, "one two three\n", f"{lost} 1/6 in 0.2 s\n{lost} 2/6 in 0.5 s\n")


async def test_an_answer_that_begins_anew_is_said_to(asked: Asked, server: FakeOpenAI) -> None:
    server.scripts = [["half", RESET], whole("the whole")]

    code, out, errors = await asked.ask()

    assert (code, out) == (0, "half\nthe whole\n")
    assert "sluice: the answer could not be continued: it starts again from its beginning\n" in errors


async def test_json_tells_waits_and_restarts_as_events(asked: Asked, server: FakeOpenAI) -> None:
    server.scripts = [["half", RESET], whole("the whole")]

    _, out, errors = await asked.ask(as_json=True)

    events: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert [event["type"] for event in events] == ["delta", "reconnecting", "restart", "delta", "finish", "usage", "done"]
    assert events[1] == {"type": "reconnecting", "attempt": 1, "attempts": 6, "wait_seconds": 0.25}
    assert errors == ""


async def test_an_answer_that_began_and_was_lost_is_a_failed_answer(asked: Asked, server: FakeOpenAI) -> None:
    server.scripts = [["half", RESET], *[[RESET]] * 6]

    code, out, errors = await asked.ask()

    assert (code, out) == (ExitCode.ANSWER_FAILED, "half\n")
    assert "reconnecting 6/6 in 5.0 s" in errors
    assert "The connection broke." in errors


async def test_what_the_model_got_wrong_is_told_at_once(asked: Asked, server: FakeOpenAI) -> None:
    server.script = ["half", BROKEN]

    code, out, errors = await asked.ask()

    assert (code, out) == (ExitCode.ANSWER_FAILED, "half\n")
    assert "reconnecting" not in errors


async def test_a_server_that_does_not_stream_is_asked_plainly(asked: Asked, server: FakeOpenAI) -> None:
    refused = SluiceError("streaming_disabled")
    choice = {"index": 0, "message": {"role": "assistant", "content": "all at once"}, "finish_reason": "stop"}
    server.scripts = [Reply(refused.kind.status, refused.report().to_openai()), Reply(200, {"choices": [choice]})]

    told = await asked.ask()

    assert told == (0, "all at once\n", "sluice: this answer is not streamed; waiting for the whole of it\n")
