"""What a broken connection leads to, by what the server then says: each answer of a server that a test writes."""

import socket
from collections.abc import AsyncIterator

import pytest

from sluice_tui.api import Endpoint
from sluice_tui.backoff import Patience
from sluice_tui.connection import Connection
from sluice_tui.errors import ClientError
from sluice_tui.reconnecting import AnsweredAtOnce, Connected, Reconnecting, answer, rest_of
from sluice_tui.transport import Timeouts
from sluice_wire.errors import ErrorReport, SluiceError
from tests.tui.asking import HASTY, Heard, hear, question
from tests.tui.fake_openai import HANG, RESET, FakeOpenAI, Reply, Step, chunk, content, frame, whole

POST = "/chat/completions"
NOT_THERE = Reply(404, SluiceError("not_found", path="/v1/streams/s1").report().to_openai())


def refusal(code: str, retry_after: str | None = None) -> Reply:
    error = SluiceError(code, limit=1)
    headers = {"retry-after": retry_after} if retry_after else {}
    return Reply(error.kind.status, error.report("corr-1").to_openai(), headers=headers)


def in_band(code: str, *, resumable: bool | None = None) -> bytes:
    return frame(SluiceError(code, resumable=resumable, seconds=1).report("corr-1").to_openai())


@pytest.fixture
async def connection(server: FakeOpenAI) -> AsyncIterator[Connection]:
    async with Connection(Endpoint(server.url), "fake", Timeouts(connect=2, read=2, silence=0.3), HASTY) as connection:
        yield connection


async def failed(connection: Connection, heard: Heard | None = None) -> ErrorReport:
    with pytest.raises(ClientError) as caught:
        await hear(answer(connection, question()), heard)
    return caught.value.report


# -- where the stream has a name


@pytest.mark.parametrize("end", [RESET, HANG, None], ids=["reset", "silent", "ends"])
async def test_a_stream_that_breaks_is_read_on_after_its_last_whole_frame(
    connection: Connection, server: FakeOpenAI, end: Step | None
) -> None:
    server.stream_id = "s1"
    server.script = ["one ", "two ", content("three")[:-1], *([end] if end else [])]
    server.resumptions = [["three ", "four ", RESET], whole("five")]

    heard = await hear(answer(connection, question()))

    assert heard.text == "one two three four five"
    assert server.paths == [POST, "/streams/s1?starting_after=2", "/streams/s1?starting_after=4"]
    assert [type(event) for event in heard.progress] == [Connected, Reconnecting, Connected, Reconnecting, Connected]
    assert (heard.finish_reason, heard.usage["completion_tokens"]) == ("stop", 7)


async def test_progress_counts_the_attempts_anew(connection: Connection, server: FakeOpenAI) -> None:
    server.stream_id = "s1"
    server.script = ["a"]
    server.resumptions = [[], [], *[["b"]] * 12, whole("c")]

    heard = await hear(answer(connection, question()))

    assert heard.text == "a" + "b" * 12 + "c"
    assert [wait.attempt for wait in heard.waits] == [1, 2, 3, *[1] * 12]
    assert {wait.attempts for wait in heard.waits} == {6}


async def test_a_stream_that_only_breaks_is_given_up_after_six_attempts(connection: Connection, server: FakeOpenAI) -> None:
    server.stream_id = "s1"
    server.script = ["a"]
    server.resumptions = [[]] * 7
    heard = Heard()

    report = await failed(connection, heard)

    assert report.code == "answer_truncated"
    assert heard.text == "a"
    assert [wait.attempt for wait in heard.waits] == [1, 2, 3, 4, 5, 6]
    assert len(server.resumptions) == 1


@pytest.mark.parametrize(
    "answered",
    [
        NOT_THERE,
        Reply(200, "<html>", "text/html"),
        Reply(501, "no"),
        Reply(400, {"error": {"message": "?"}}),
        Reply(204, ""),
    ],
    ids=["unknown", "another kind of server", "not implemented", "bad cursor", "nothing left"],
)
async def test_where_the_stream_is_gone_the_same_is_asked_again(
    connection: Connection, server: FakeOpenAI, answered: Reply
) -> None:
    server.stream_id = "s1"
    server.scripts = [["half", RESET], whole("the whole answer")]
    server.resumptions = [answered]

    heard = await hear(answer(connection, question()))

    assert (heard.text, heard.restarts) == ("the whole answer", 1)
    assert server.paths == [POST, "/streams/s1?starting_after=1", POST]
    assert_asked_the_same(server)


async def test_a_key_that_is_refused_on_the_way_is_an_error(connection: Connection, server: FakeOpenAI) -> None:
    server.stream_id = "s1"
    server.script = ["half", RESET]
    server.resumptions = [refusal("invalid_credentials")]

    assert (await failed(connection)).code == "invalid_credentials"
    assert len(server.completions) == 1


@pytest.mark.parametrize("code", ["over_capacity", "server_draining", "rate_limited", "storage_unavailable"])
async def test_a_server_that_is_busy_is_asked_for_the_rest_once_more(
    connection: Connection, server: FakeOpenAI, code: str
) -> None:
    server.stream_id = "s1"
    server.script = ["half ", RESET]
    server.resumptions = [refusal(code), whole("and half")]

    heard = await hear(answer(connection, question()))

    assert (heard.text, heard.restarts) == ("half and half", 0)
    assert [wait.attempt for wait in heard.waits] == [1, 2]


@pytest.mark.parametrize("code", ["server_draining", "producer_lost"])
async def test_a_stream_that_ends_with_its_server_is_asked_for_again(
    connection: Connection, server: FakeOpenAI, code: str
) -> None:
    server.stream_id = "s1"
    server.scripts = [["half", in_band(code, resumable=False)], whole("whole")]

    heard = await hear(answer(connection, question()))

    assert (heard.text, heard.restarts) == ("whole", 1)
    assert server.paths == [POST, POST]
    assert_asked_the_same(server)


async def test_a_stream_that_outlives_its_server_is_read_on(connection: Connection, server: FakeOpenAI) -> None:
    server.stream_id = "s1"
    server.script = ["half ", in_band("server_draining", resumable=True)]
    server.resumptions = [whole("and half")]

    heard = await hear(answer(connection, question()))

    assert (heard.text, heard.restarts) == ("half and half", 0)
    assert server.paths == [POST, "/streams/s1?starting_after=2"]


@pytest.mark.parametrize("code", ["idle_timeout", "upstream_truncated", "cancelled", "internal_error"])
async def test_what_the_model_got_wrong_is_not_asked_again_unbidden(
    connection: Connection, server: FakeOpenAI, code: str
) -> None:
    server.stream_id = "s1"
    server.script = ["half", in_band(code)]
    heard = Heard()

    assert (await failed(connection, heard)).code == code
    assert (heard.text, heard.waits, server.paths) == ("half", [], [POST])


async def test_an_answer_that_always_breaks_at_the_same_place_is_asked_for_seven_times_in_all(
    connection: Connection, server: FakeOpenAI
) -> None:
    server.stream_id = "s1"
    server.script = ["half", in_band("producer_lost", resumable=False)]
    heard = Heard()

    assert (await failed(connection, heard)).code == "producer_lost"
    assert heard.text == "half"
    assert len(server.completions) == 7


# -- where it has none


async def test_a_server_without_names_for_its_streams_is_asked_again(connection: Connection, server: FakeOpenAI) -> None:
    server.scripts = [["half"], ["ha", RESET], whole("whole")]

    heard = await hear(answer(connection, question()))

    assert (heard.text, heard.restarts) == ("whole", 2)
    assert_asked_the_same(server)


async def test_a_name_that_would_lead_elsewhere_is_none(connection: Connection, server: FakeOpenAI) -> None:
    server.stream_id = "../../health?"
    server.scripts = [["half", RESET], whole("whole")]

    heard = await hear(answer(connection, question()))

    assert (heard.text, server.paths) == ("whole", [POST, POST])


async def test_the_formalities_after_the_finish_reason_may_be_missing(connection: Connection, server: FakeOpenAI) -> None:
    server.script = ["whole", chunk(finish_reason="stop"), RESET]

    heard = await hear(answer(connection, question()))

    assert (heard.text, heard.waits) == ("whole", [])


# -- before the answer began


@pytest.mark.parametrize(
    "refused",
    [
        *(refusal(code) for code in ("over_capacity", "server_draining", "upstream_overloaded")),
        refusal("too_many_streams", "0"),
        Reply(503, "The service was not able to respond", "text/plain"), Reply(429, "Rate exceeded.", "text/plain"),
        Reply(502, "<html>Bad gateway", "text/html"), [RESET],
    ],
)  # fmt: skip
async def test_a_server_that_is_only_busy_is_asked_again(
    connection: Connection, server: FakeOpenAI, refused: Reply | list[Step]
) -> None:
    server.scripts = [refused, refused]

    heard = await hear(answer(connection, question()))

    assert (heard.text, heard.restarts) == ("Hello world", 0)
    assert [wait.attempt for wait in heard.waits] == [1, 2]
    assert_asked_the_same(server)


@pytest.mark.parametrize(
    "refused",
    [
        *(refusal(code) for code in ("invalid_credentials", "permission_denied", "invalid_request", "model_not_found")),
        *(refusal(code) for code in ("upstream_rejected", "upstream_quota_exhausted", "internal_error", "idle_timeout")),
        refusal("rate_limited", "31"), Reply(500, "oh", "text/plain"), Reply(404, "<html>", "text/html"),
        Reply(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
    ],
)  # fmt: skip
async def test_a_refusal_is_told_at_once(connection: Connection, server: FakeOpenAI, refused: Reply) -> None:
    server.scripts = [refused]
    heard = Heard()

    await failed(connection, heard)

    assert (heard.waits, len(server.completions)) == ([], 1)


async def test_retry_after_is_honoured(server: FakeOpenAI) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    server.scripts = [refusal("rate_limited", "7"), refusal("over_capacity", "30")]
    patience = Patience(chance=lambda: 0.5, sleep=sleep)
    async with Connection(Endpoint(server.url), "fake", patience=patience) as connection:
        heard = await hear(answer(connection, question()))

    assert heard.text == "Hello world"
    assert slept == [7.25, 30.5]
    assert [wait.wait_seconds for wait in heard.waits] == slept


async def test_a_server_that_is_not_there_is_looked_for_six_times() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    heard = Heard()
    async with Connection(Endpoint(url), "fake", patience=HASTY) as connection:
        report = await failed(connection, heard)

    assert report.code == "connection_refused"
    assert len(heard.waits) == 6


async def test_an_address_that_does_not_exist_is_not_looked_for_again() -> None:
    heard = Heard()
    async with Connection(Endpoint("http://nowhere.invalid/v1"), "fake", patience=HASTY) as connection:
        report = await failed(connection, heard)

    assert (report.code, heard.waits) == ("unknown_host", [])


def test_the_line_that_is_shown_counts_attempts_and_seconds() -> None:
    event = Reconnecting(2, 6, 1.34)

    assert event.told(1.34) == "reconnecting 2/6 in 1.3 s"
    assert event.told(-0.2) == "reconnecting 2/6 …"


# -- a server that does not stream


def completion(text: str) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Reply(200, {"object": "chat.completion", "choices": [choice], "usage": {"completion_tokens": 9}})


async def test_a_server_that_does_not_stream_is_asked_plainly_from_then_on(
    connection: Connection, server: FakeOpenAI
) -> None:
    server.scripts = [refusal("streaming_disabled"), refusal("over_capacity"), completion("whole"), completion("again")]

    first = await hear(answer(connection, question()))
    second = await hear(answer(connection, question()))

    assert (first.text, first.finish_reason, first.usage) == ("whole", "stop", {"completion_tokens": 9})
    assert second.text == "again"
    assert [type(event) for event in first.progress] == [AnsweredAtOnce, Reconnecting, AnsweredAtOnce]
    assert [request.body["stream"] for request in server.completions] == [True, False, False, False]
    streamed, plain, again, other = (request.headers["idempotency-key"] for request in server.completions)
    assert plain == again
    assert len({streamed, plain, other}) == 3


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(200, "<html>", "text/html"), "invalid_stream"),
        (Reply(200, {"choices": [5]}), "answer_truncated"),
        (Reply(200, {"choices": [{"message": 5, "finish_reason": "stop"}]}), "invalid_stream"),
        (Reply(200, {"choices": [{"message": {"content": "a"}}]}), "answer_truncated"),
        (Reply(200, {"error": {"message": "boom"}, "choices": []}), "answer_failed"),
        (refusal("model_not_found"), "model_not_found"),
    ],
)
async def test_a_plain_answer_that_is_none_is_an_error(
    connection: Connection, server: FakeOpenAI, reply: Reply, code: str
) -> None:
    connection.streaming = False
    server.replies["/v1/chat/completions"] = reply
    heard = Heard()

    assert (await failed(connection, heard)).code == code


# -- what another terminal left behind


async def test_the_rest_of_anothers_stream_is_read_from_its_first_frame(connection: Connection, server: FakeOpenAI) -> None:
    server.resumptions = [["one ", "two ", RESET], whole("three")]

    heard = await hear(rest_of(connection, "s1"))

    assert heard.text == "one two three"
    assert server.paths == ["/streams/s1?starting_after=0", "/streams/s1?starting_after=2"]


@pytest.mark.parametrize("gone", [NOT_THERE, Reply(204, "")])
async def test_anothers_stream_that_is_gone_cannot_be_asked_for_again(
    connection: Connection, server: FakeOpenAI, gone: Reply
) -> None:
    server.resumptions = [gone]

    with pytest.raises(ClientError) as caught:
        await hear(rest_of(connection, "s1"))

    assert caught.value.report.code == "stream_gone"


def assert_asked_the_same(server: FakeOpenAI) -> None:
    """Under one key that no other question has."""
    first, *others = server.completions
    assert others
    assert len(first.headers["idempotency-key"]) == 32
    for other in others:
        assert (other.body, other.headers["idempotency-key"]) == (first.body, first.headers["idempotency-key"])


async def test_every_question_has_a_key_of_its_own(connection: Connection, server: FakeOpenAI) -> None:
    await hear(answer(connection, question()))
    await hear(answer(connection, question()))

    first, second = (request.headers["idempotency-key"] for request in server.completions)
    assert first != second
