"""What a stream can do, over real sockets, and what the user is told."""

import pytest

from sluice_tui.api import Api
from sluice_tui.errors import ClientError
from sluice_tui.session import Turn
from sluice_wire.errors import SluiceError
from tests.tui.asking import ask, assert_three_parts, failure
from tests.tui.fake_openai import DONE, HANG, RESET, FakeOpenAI, Step, chunk, content, frame

TRUNCATED: list[Step] = ["some"]
SOME_THEN: dict[str, tuple[list[Step], str]] = {
    "ends without saying so": (TRUNCATED, "answer_truncated"),
    "is reset": (["some", RESET], "connection_lost"),
    "falls silent": (["some", HANG], "read_timeout"),
    "holds no JSON": (["some", b"data: {nonsense\n\n"], "invalid_stream"),
    "holds another shape": (["some", frame([1, 2])], "invalid_stream"),
    "is nested without end": (["some", b"data: " + b"[" * 100_000 + b"\n\n"], "invalid_stream"),
    "holds another server's error": (["some", frame({"error": {"message": "boom"}})], "answer_failed"),
    "holds an error at its top": (["some", frame({"object": "error", "message": "boom", "code": 500})], "answer_failed"),
    "holds an error in words": (["some", frame({"error": "boom"})], "answer_failed"),
    "holds an odd error": (["some", frame({"error": 5})], "answer_failed"),
    "ends for an error": (["some", chunk(finish_reason="error")], "answer_failed"),
}


@pytest.mark.parametrize(("script", "code"), SOME_THEN.values(), ids=SOME_THEN.keys())
async def test_a_stream_that_breaks_is_an_error_and_what_came_before_stays(
    api: Api, server: FakeOpenAI, script: list[Step], code: str
) -> None:
    server.script = script
    turn = Turn("hi", 0)

    with pytest.raises(ClientError) as caught:
        await ask(api, turn=turn)

    assert turn.text == "some"
    assert_three_parts(caught.value.report)
    assert caught.value.report.correlation_id == "corr-1"
    assert caught.value.report.code == code


async def test_content_in_the_same_piece_as_an_error_is_not_lost(api: Api, server: FakeOpenAI) -> None:
    server.script = [content("a") + content("b") + frame({"error": {"message": "boom"}})]
    turn = Turn("hi", 0)

    with pytest.raises(ClientError):
        await ask(api, turn=turn)

    assert turn.text == "ab"


async def test_an_error_that_sluice_reports_in_the_stream_is_told_in_its_words(api: Api, server: FakeOpenAI) -> None:
    told = SluiceError("idle_timeout", seconds=30).report("abc")
    server.script = ["some", frame(told.to_openai())]

    assert await failure(api) == told


async def test_done_alone_is_the_servers_word_that_the_answer_is_whole(api: Api, server: FakeOpenAI) -> None:
    server.script = ["short", DONE]

    assert await ask(api) == "short"
