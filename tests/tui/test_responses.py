"""What a response can be that is no stream, over real sockets, and what the user is told."""

import pytest

from sluice_tui.api import Api
from sluice_tui.errors import ClientError
from sluice_wire.errors import ERRORS, SluiceError
from tests.tui.asking import assert_three_parts, failure
from tests.tui.fake_openai import FakeOpenAI, Reply

REFUSALS: dict[str, tuple[Reply, str]] = {
    "401 with nothing": (Reply(401, ""), "credentials_refused"),
    "403 with HTML": (Reply(403, "<html>no</html>", "text/html"), "identity_refused"),
    "404 with HTML": (Reply(404, "<html>no</html>", "text/html"), "not_an_api"),
    "500 with HTML": (Reply(500, "<html>oh</html>", "text/html"), "server_error"),
    "502 from a proxy": (Reply(502, "Bad gateway", "text/plain"), "server_error"),
    "429 with nothing": (Reply(429, ""), "server_error"),
    "200 with HTML": (Reply(200, "<html>hello</html>", "text/html"), "not_an_api"),
    "200 with JSON": (Reply(200, {"hello": "world"}), "not_an_api"),
    "a redirection": (Reply(302, "", headers={"location": "https://elsewhere.test/v1"}), "redirected"),
    "an error in words": (Reply(404, {"error": "model 'x' not found"}), "request_refused"),
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
