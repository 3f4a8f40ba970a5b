"""Every way in which a server can fail, over real sockets, and what the user is told."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

import httpx
import pytest

from sluice_tui.api import Agent, Api, Endpoint, base_url
from sluice_tui.errors import CLIENT_ERRORS, ClientError
from sluice_tui.session import Turn
from sluice_tui.stream import answer
from sluice_tui.transport import Timeouts, translated
from sluice_wire.errors import ERRORS, ErrorReport, SluiceError
from tests.tui.fake_openai import DONE, HANG, RESET, FakeOpenAI, Reply, Step, chunk, content, frame, whole

KEY = "sk-local-0123456789"
SHORT = Timeouts(connect=0.3, read=0.3)


@pytest.fixture
async def api(server: FakeOpenAI) -> AsyncIterator[Api]:
    api = Api(Endpoint(server.url, KEY), SHORT)
    yield api
    await api.aclose()


async def ask(api: Api, question: str = "hi", turn: Turn | None = None) -> str:
    """The text of an answer, which the turn takes as it comes."""
    turn = turn or Turn(question, 0)
    async with aclosing(answer(api, "fake", [{"role": "user", "content": question}])) as events:
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


# -- what goes well


async def test_models_are_listed_with_what_sluice_adds(api: Api, server: FakeOpenAI) -> None:
    server.models = [{"id": "a", "name": "A", "description": "d"}, {"id": "b", "name": None}, {"no": "id"}]

    assert await api.models() == [Agent("a", "A", "d"), Agent("b")]
    assert [agent.title for agent in await api.models()] == ["A", "b"]


async def test_an_answer_is_streamed_and_asked_for_as_openai_says(api: Api, server: FakeOpenAI) -> None:
    assert await ask(api) == "Hello world"

    request = server.completions[0]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "fake",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_without_a_key_no_authorization_is_sent(server: FakeOpenAI) -> None:
    api = Api(Endpoint(server.url))
    await ask(api)
    await api.aclose()

    assert "authorization" not in server.completions[0].headers


async def test_comments_and_a_missing_done_after_the_finish_reason_are_accepted(api: Api, server: FakeOpenAI) -> None:
    server.script = [b": ping\n\n", "whole", chunk(finish_reason="stop")]

    assert await ask(api) == "whole"


async def test_reading_stops_at_done(api: Api, server: FakeOpenAI) -> None:
    server.script = [*whole("all"), HANG]

    assert await ask(api) == "all"


async def test_a_lone_surrogate_in_a_question_does_not_stop_it(api: Api, server: FakeOpenAI) -> None:
    await ask(api, "a\ud83db")

    assert server.completions[0].body["messages"][0]["content"] == "a?b"


async def test_leaving_an_answer_hangs_up(api: Api, server: FakeOpenAI) -> None:
    server.script = ["first", HANG]
    async with aclosing(answer(api, "fake", [])) as events:
        await anext(events)

    assert server.completions[0].gone.wait(5)


# -- what a stream can do


TRUNCATED: list[Step] = ["some"]
SOME_THEN: dict[str, tuple[list[Step], str]] = {
    "ends without saying so": (TRUNCATED, "answer_truncated"),
    "is reset": (["some", RESET], "connection_lost"),
    "falls silent": (["some", HANG], "read_timeout"),
    "holds no JSON": (["some", b"data: {nonsense\n\n"], "invalid_stream"),
    "holds another shape": (["some", frame([1, 2])], "invalid_stream"),
    "is nested without end": (["some", b"data: " + b"[" * 100_000 + b"\n\n"], "invalid_stream"),
    "holds another server's error": (["some", frame({"error": {"message": "boom"}})], "unknown"),
    "holds an error in words": (["some", frame({"error": "boom"})], "answer_failed"),
    "holds an odd error": (["some", frame({"error": 5})], "answer_failed"),
    "ends for an error": (["some", chunk(finish_reason="error")], "error"),
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


# -- what a response can be


REFUSALS: dict[str, tuple[Reply, str]] = {
    "401 with nothing": (Reply(401, ""), "credentials_refused"),
    "403 with HTML": (Reply(403, "<html>no</html>", "text/html"), "credentials_refused"),
    "404 with HTML": (Reply(404, "<html>no</html>", "text/html"), "not_an_api"),
    "500 with HTML": (Reply(500, "<html>oh</html>", "text/html"), "server_error"),
    "502 from a proxy": (Reply(502, "Bad gateway", "text/plain"), "server_error"),
    "429 with nothing": (Reply(429, ""), "server_error"),
    "200 with HTML": (Reply(200, "<html>hello</html>", "text/html"), "not_an_api"),
    "200 with JSON": (Reply(200, {"hello": "world"}), "not_an_api"),
    "a redirection": (Reply(302, "", headers={"location": "https://elsewhere.test/v1"}), "redirected"),
    "an error in words": (Reply(404, {"error": "model 'x' not found"}), "not_an_api"),
    "JSON without end": (Reply(500, "[" * 100_000), "server_error"),
    "a huge error": (Reply(500, b'{"error": "' + b"x" * (3 << 20) + b'"}'), "server_error"),
    "an encoding that is a lie": (Reply(500, b"no gzip", headers={"content-encoding": "gzip"}), "invalid_stream"),
}


@pytest.mark.parametrize(("reply", "code"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_response_that_is_no_stream_says_what_it_is(api: Api, server: FakeOpenAI, reply: Reply, code: str) -> None:
    server.replies["/v1/chat/completions"] = reply

    report = await failure(api)

    assert report.code == code
    assert_three_parts(report)


@pytest.mark.parametrize("code", [code for code, kind in ERRORS.items() if kind.status < 600])
async def test_every_refusal_of_sluice_is_told_in_its_own_words(api: Api, server: FakeOpenAI, code: str) -> None:
    told = SluiceError(code, model="m", seconds=3).report("abc-1")
    server.replies["/v1/chat/completions"] = Reply(ERRORS[code].status, told.to_openai())

    assert await failure(api) == told


async def test_another_servers_words_are_completed_with_what_to_do(api: Api, server: FakeOpenAI) -> None:
    error = {"message": "Incorrect API key \x1b[31mprovided", "type": "invalid_request_error", "code": "invalid_api_key"}
    server.replies["/v1/chat/completions"] = Reply(401, {"error": error}, headers={"x-request-id": "req-9"})

    report = await failure(api)

    assert (report.what, report.code, report.correlation_id) == (
        "Incorrect API key ␛[31mprovided",
        "invalid_api_key",
        "req-9",
    )
    assert "SLUICE_API_KEY" in report.action


@pytest.mark.parametrize("body", [{"data": 5}, {"nothing": 1}, [1]])
async def test_a_list_of_models_that_is_none_is_told(api: Api, server: FakeOpenAI, body: dict[str, object]) -> None:
    server.replies["/v1/models"] = Reply(200, body)

    with pytest.raises(ClientError) as caught:
        await api.models()

    assert caught.value.report.code == "not_an_api"


async def test_models_with_a_wrong_key_say_so(api: Api, server: FakeOpenAI) -> None:
    told = SluiceError("invalid_credentials").report("abc")
    server.replies["/v1/models"] = Reply(401, told.to_openai())

    with pytest.raises(ClientError) as caught:
        await api.models()

    assert caught.value.report == told


# -- what a network can do


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_nobody_listening_is_told() -> None:
    report = await failure_at(f"http://127.0.0.1:{free_port()}/v1")

    assert report.code == "connection_refused"
    assert_three_parts(report)


async def test_a_name_that_does_not_exist_is_told() -> None:
    assert (await failure_at("http://nowhere.invalid/v1")).code == "unknown_host"


async def test_plain_http_where_tls_is_expected_is_told(server: FakeOpenAI) -> None:
    assert (await failure_at(server.url.replace("http:", "https:"))).code == "tls_failed"


async def test_a_host_that_does_not_accept_is_told(full_backlog: str) -> None:
    report = await failure_at(full_backlog)

    assert report.code == "connect_timeout"
    assert "0.3 s" in report.what


async def test_a_server_that_never_answers_is_told() -> None:
    with speaking(b"", hold=True) as url:
        assert (await failure_at(url)).code == "read_timeout"


async def test_a_server_that_hangs_up_at_once_is_told() -> None:
    with speaking(b"") as url:
        assert (await failure_at(url)).code == "connection_lost"


async def test_a_server_that_does_not_speak_http_is_told() -> None:
    with speaking(b"220 smtp.test ESMTP\r\n") as url:
        assert (await failure_at(url)).code == "connection_lost"


async def test_a_key_that_http_cannot_carry_is_told_and_not_shown(server: FakeOpenAI) -> None:
    api = Api(Endpoint(server.url, "line\nbreak"), SHORT)
    report = await failure(api)
    await api.aclose()

    assert report.code == "request_impossible"
    assert "break" not in str(report)


def test_every_exception_of_httpx_is_translated() -> None:
    everything = [error for error in vars(httpx).values() if isinstance(error, type) and issubclass(error, httpx.HTTPError)]

    for kind in everything:
        error = kind("secret") if kind is not httpx.HTTPStatusError else httpx.HTTPError("secret")
        report = translated(error, "http://x.test/v1", SHORT, "id").report
        assert_three_parts(report)
        assert "secret" not in str(report)
    assert len(everything) > 20


def test_every_kind_of_client_error_has_three_parts() -> None:
    assert all(kind.what and kind.why and kind.action for kind in CLIENT_ERRORS.values())


# -- addresses


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("https://chat.example.org/", "https://chat.example.org/v1"),
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        (" https://x.test/v1beta/openai?a=b#c ", "https://x.test/v1beta/openai"),
    ],
)
def test_an_address_becomes_a_base_url(given: str, url: str) -> None:
    assert base_url(given) == url


@pytest.mark.parametrize("given", ["localhost:8080", "ftp://x.test", "http://", "", "http://[::1", "http://u:p@x.test/"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        base_url(given)


def test_a_key_is_in_no_representation() -> None:
    assert KEY not in repr(Endpoint("http://x.test/v1", KEY))


def assert_three_parts(report: ErrorReport) -> None:
    assert report.what
    assert report.why
    assert report.action
    assert "{" not in report.what + report.why + report.action


@contextmanager
def speaking(words: bytes, *, hold: bool = False) -> Iterator[str]:
    """The address of a server that says this to whoever connects, and hangs up unless it is to hold the line."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(words)
                while hold and connection.recv(65536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread.join(5)


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """An address whose queue of connections is full: whoever tries to connect waits."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}/v1"
        for connection in waiting:
            connection.close()
