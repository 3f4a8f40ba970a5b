"""Asking a server directly, without a face: over one connection or over many; and what an error must have."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice_tui.api import Api, Asked, Endpoint
from sluice_tui.backoff import Patience
from sluice_tui.errors import ClientError
from sluice_tui.reconnecting import Cleared, Progress, Reconnecting
from sluice_tui.session import Turn
from sluice_tui.stream import AnswerDecoder, read
from sluice_tui.transport import Timeouts
from sluice_wire.errors import ErrorReport
from sluice_wire.events import Delta, Event, Finish, Usage

KEY = "sk-local-0123456789"
SHORT = Timeouts(connect=2, read=2)
HASTY = Patience(base_seconds=0.01, cap_seconds=0.02)


async def ask(api: Api, question: str = "hi", turn: Turn | None = None) -> str:
    """The text of an answer over one connection, which the turn takes as it comes."""
    turn = turn or Turn(question, 0)
    asked = Asked.new("fake", [{"role": "user", "content": question}])
    async with (
        api.completion(asked) as response,
        aclosing(read(response, AnswerDecoder(response.correlation_id))) as events,
    ):
        async for event in events:
            if isinstance(event, Delta | Finish | Usage):
                turn.take(event, 0)
    return turn.text


@dataclass
class Heard:
    """All that came of one question, in order, and the text that stands at its end."""

    text: str = ""
    progress: list[Progress] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def waits(self) -> list[Reconnecting]:
        return [event for event in self.progress if isinstance(event, Reconnecting)]

    @property
    def restarts(self) -> int:
        return sum(isinstance(event, Cleared) for event in self.progress)


async def hear(source: AsyncGenerator[Event | Progress, None], heard: Heard | None = None) -> Heard:
    """Take an answer as a face does: what is cleared is gone."""
    heard, turn = heard or Heard(), Turn("hi", 0)
    async with aclosing(source) as events:
        async for event in events:
            if isinstance(event, Delta | Finish | Usage):
                turn.take(event, 0)
            else:
                heard.progress.append(event)
            if isinstance(event, Cleared):
                turn.clear()
            heard.text, heard.finish_reason, heard.usage = turn.text, turn.finish_reason, turn.usage
    return heard


def question(model: str = "fake") -> Asked:
    return Asked.new(model, [{"role": "user", "content": "hi"}])


async def failure(api: Api) -> ErrorReport:
    with pytest.raises(ClientError) as caught:
        await ask(api)
    return caught.value.report


async def failure_at(url: str) -> ErrorReport:
    api = Api(Endpoint(url, KEY), SHORT)
    try:
        return await failure(api)
    finally:
        await api.aclose()


def assert_three_parts(report: ErrorReport) -> None:
    assert report.what
    assert report.why
    assert report.action
    assert "{" not in report.what + report.why + report.action
