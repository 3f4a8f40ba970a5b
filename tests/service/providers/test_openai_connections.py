"""What the provider does with its connections: closes them when nobody wants the answer, keeps them when all is read."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from sluice_service.providers.openai_api import OpenAIProvider
from sluice_service.telemetry.context import CURRENT, RequestContext
from sluice_wire.errors import SluiceError
from sluice_wire.events import Event
from tests.service.providers.asking import a_call, ask
from tests.service.providers.conftest import MakeProvider
from tests.support.keeping_upstream import AT_ONCE, CHUNKED, KeepingUpstream
from tests.support.scripted_upstream import HANG, STREAM_HEAD, Script, ScriptedUpstream, chunk


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.005)


class Caller:
    """Runs a call and says how far it has come."""

    def __init__(self, provider: OpenAIProvider) -> None:
        self.entered = False
        self.batches = 0
        self.task = asyncio.create_task(self._run(provider))

    async def _run(self, provider: OpenAIProvider) -> None:
        await provider.relay(a_call(), self._take)

    def _take(self, batch: Sequence[Event]) -> None:
        self.entered = True
        self.batches += bool(batch)


@pytest.mark.parametrize(
    ("script", "entered", "batches"),
    [
        ([HANG], False, 0),
        ([b"HTTP/1.1 200 OK\r\ncontent-ty", HANG], False, 0),
        ([b"HTTP/1.1 500 Oops\r\n\r\n<html>", HANG], False, 0),
        ([STREAM_HEAD, HANG], True, 0),
        ([STREAM_HEAD, chunk("so far"), HANG], True, 1),
    ],
    ids=["before headers", "inside headers", "inside a refusal", "before content", "inside an answer"],
)
async def test_cancelling_closes_the_upstream_connection(
    upstream: ScriptedUpstream, provider: OpenAIProvider, script: Script, entered: bool, batches: int
) -> None:
    upstream.script = script
    caller = Caller(provider)
    await until(lambda: upstream.calls and caller.entered == entered and caller.batches == batches)

    caller.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller.task

    await until(upstream.calls[0].closed.is_set, seconds=1)


@pytest.mark.parametrize("error", [SluiceError("output_too_large", limit_bytes=1), ValueError("mine")], ids=["known", "bug"])
@pytest.mark.parametrize("length", [10_000, len(chunk("so far"))], ids=["inside the body", "at its end"])
async def test_error_of_whoever_takes_closes_the_connection_and_is_not_taken_for_one_of_upstream(
    upstream: ScriptedUpstream, provider: OpenAIProvider, error: Exception, length: int
) -> None:
    head = STREAM_HEAD.replace(b"connection: close", b"content-length: %d\r\nconnection: close" % length)
    upstream.script = [head, 0.02, chunk("so far"), HANG]
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    def fail(batch: Sequence[Event]) -> None:
        if batch:
            raise error

    with pytest.raises(type(error)) as raised:
        await provider.relay(a_call(), fail)

    assert raised.value is error
    await until(upstream.calls[0].closed.is_set, seconds=1)


async def test_many_streams_are_open_at_once(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    # httpx2 alone would stop at 100.
    upstream.script = [STREAM_HEAD, chunk("so far"), HANG]

    callers = [Caller(provider) for _ in range(130)]
    await until(lambda: all(caller.batches for caller in callers))

    assert sum(not call.closed.is_set() for call in upstream.calls) == 130
    for caller in callers:
        caller.task.cancel()
    await asyncio.gather(*(caller.task for caller in callers), return_exceptions=True)


@pytest.mark.parametrize(
    "reply", [CHUNKED, (*CHUNKED[:2], 0.02, CHUNKED[3]), AT_ONCE], ids=["end at once", "end a little later", "one piece"]
)
async def test_connection_is_used_again_and_closed_with_the_provider(
    make_provider: MakeProvider, reply: Sequence[bytes | float]
) -> None:
    upstream = KeepingUpstream(reply)
    async with upstream.listening() as port:
        provider = make_provider(f"http://127.0.0.1:{port}/v1")

        told = [await ask(provider) for _ in range(3)]

        assert [one.text for one in told] == ["kept"] * 3
        assert upstream.connections == 1
        await provider.aclose()
        await asyncio.wait_for(upstream.ended.wait(), 1)


async def test_what_a_kept_connection_does_not_answer_is_asked_anew_at_once(make_provider: MakeProvider) -> None:
    upstream = KeepingUpstream(requests=1)
    async with upstream.listening() as port:
        provider = make_provider(f"http://127.0.0.1:{port}/v1")

        told = [await ask(provider) for _ in range(3)]

        assert [one.text for one in told] == ["kept"] * 3
        assert (upstream.connections, len(upstream.heads)) == (3, 5)


async def test_what_a_new_connection_does_not_answer_has_failed(make_provider: MakeProvider) -> None:
    upstream = KeepingUpstream(requests=0)
    async with upstream.listening() as port:
        told = await ask(make_provider(f"http://127.0.0.1:{port}/v1"))

        assert (told.code, upstream.connections) == ("upstream_unavailable", 1)


async def test_answer_on_a_kept_connection_belongs_to_the_request_that_asked(make_provider: MakeProvider) -> None:
    upstream = KeepingUpstream((CHUNKED[0], 0.02, *CHUNKED[1:]))
    seen: list[RequestContext | None] = []

    async def ask_as(name: str) -> None:
        CURRENT.set(RequestContext(request_id=name, correlation_id=name))
        await provider.relay(a_call(), lambda _: seen.append(CURRENT.get()))

    async with upstream.listening() as port:
        provider = make_provider(f"http://127.0.0.1:{port}/v1")
        for name in ("alice's", "bob's"):
            await asyncio.create_task(ask_as(name))

    assert upstream.connections == 1
    assert [known.request_id for known in seen if known] == ["alice's"] * 2 + ["bob's"] * 2


async def test_connection_whose_reply_nobody_took_serves_the_next_call(make_provider: MakeProvider) -> None:
    upstream = KeepingUpstream(AT_ONCE)

    def refuse(_: Sequence[Event]) -> None:
        raise SluiceError("output_too_large", limit_bytes=1)

    async with upstream.listening() as port:
        provider = make_provider(f"http://127.0.0.1:{port}/v1")
        with pytest.raises(SluiceError):
            await provider.relay(a_call(), refuse)

        told = await asyncio.wait_for(ask(provider), 5)

        assert (told.text, upstream.connections) == ("kept", 1)


@pytest.mark.parametrize("pause", [(), (0.02,)], ids=["with it", "later"])
async def test_reply_that_nobody_asked_for_is_part_of_no_answer(
    make_provider: MakeProvider, pause: tuple[float, ...]
) -> None:
    forged = AT_ONCE[0].replace(b"kept", b"evil")
    upstream = KeepingUpstream((*AT_ONCE, *pause, forged) if pause else (AT_ONCE[0] + forged,))
    async with upstream.listening() as port:
        provider = make_provider(f"http://127.0.0.1:{port}/v1")

        first = await ask(provider)
        await asyncio.wait_for(upstream.ended.wait(), 5)
        second = await ask(provider)

        assert (first.text, second.text, upstream.connections) == ("kept", "kept", 2)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\ncontent-type: text/html\r\n\r\n", *CHUNKED), None),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), "upstream_invalid_response"),
    ],
    ids=["interim replies", "no body"],
)
async def test_replies_without_a_body_leave_the_connection_in_step(
    make_provider: MakeProvider, reply: Sequence[bytes | float], code: str | None
) -> None:
    upstream = KeepingUpstream(reply)
    async with upstream.listening() as port:
        provider = make_provider(f"http://127.0.0.1:{port}/v1")

        told = [await ask(provider) for _ in range(2)]

        assert [one.code for one in told] == [code, code]
        assert upstream.connections == 1


async def test_end_of_the_body_is_not_waited_for_after_done(upstream: ScriptedUpstream, provider: OpenAIProvider) -> None:
    upstream.script = [STREAM_HEAD, chunk("a", "stop"), b"data: [DONE]\n\n", HANG]

    told = await asyncio.wait_for(ask(provider), 1)

    assert (told.text, told.error) == ("a", None)
    await until(upstream.calls[0].closed.is_set, seconds=1)


async def test_provider_that_was_never_asked_is_closed_without_effort(make_provider: MakeProvider) -> None:
    await make_provider("http://127.0.0.1:9/v1").aclose()
