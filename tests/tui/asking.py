"""Asking a server directly, without a face and without another try, and what an error must have."""

from contextlib import aclosing

import pytest

from sluice_tui.api import Api, Asked, Endpoint
from sluice_tui.backoff import Patience
from sluice_tui.errors import ClientError
from sluice_tui.session import Turn
from sluice_tui.stream import AnswerDecoder, read
from sluice_tui.transport import Timeouts
from sluice_wire.errors import ErrorReport

KEY = "sk-local-0123456789"
SHORT = Timeouts(connect=0.3, read=0.3)
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
            turn.take(event, 0)
    return turn.text


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
