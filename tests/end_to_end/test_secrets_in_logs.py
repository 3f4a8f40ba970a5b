"""Whatever is sent, to us or by upstream: the running function's log holds no key and no token."""

import json
import string
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.entries import GrowingLog
from tests.support.running_function import running_function
from tests.support.scripted_upstream import CLOSE, STREAM_HEAD, Script, ScriptedUpstream, answer, chunk, response

PATH = "/v1/chat/completions"
GOOD: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}]}
UPSTREAM_KEY = "upstream/key+0123456789=abc"

LETTERS = st.text(string.ascii_letters + string.digits + "-_", min_size=20, max_size=48)
SHAPED = st.one_of(LETTERS.map("sk-{}".format), LETTERS.map("eyJ{}.eyJhIjoxfQ.c2ln".format), LETTERS.map("AIza{}".format))

Send = Callable[[httpx.Client, str], httpx.Response]


def post(client: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    return client.post(PATH, content=content, headers={"content-type": "application/json", **headers})


def with_header(name: str, value: str = "{}") -> Send:
    return lambda client, secret: post(client, GOOD, **{name: value.format(secret)})


IN_CREDENTIALS: dict[str, Send] = {
    "bearer": with_header("Authorization", "Bearer {}"),
    "bearer in capitals": with_header("Authorization", "BEARER  {}"),
    "basic": with_header("Authorization", "Basic {}"),
    "no scheme": with_header("Authorization"),
    "another scheme": with_header("Authorization", "Token token={}"),
    "x-api-key": with_header("X-Api-Key"),
    "cookie": with_header("Cookie", "session={}"),
    "identity": with_header("X-Serverless-Authorization", "Bearer {}"),
    "query": lambda client, secret: client.get(f"/v1/models?token={secret}&key={secret}"),
    "query of nothing": lambda client, secret: client.get(f"/nowhere?{secret}"),
    "content": lambda client, secret: post(client, {**GOOD, "messages": [{"role": "user", "content": secret}]}),
    "no JSON": lambda client, secret: post(client, f'{{"api_key": "{secret}", nope'),
    "no JSON at all": lambda client, secret: post(client, secret),
    "role": lambda client, secret: post(client, {**GOOD, "messages": [{"role": secret}]}),
    "messages": lambda client, secret: post(client, {**GOOD, "messages": secret}),
    "stream": lambda client, secret: post(client, {**GOOD, "stream": secret}),
    "field": lambda client, secret: post(client, {**GOOD, secret: secret, "n": secret}),
}
"""Where a secret of any form may stand: nothing that arrives there is logged."""

IN_NAMES: dict[str, Send] = {
    "model": lambda client, secret: post(client, {**GOOD, "model": secret}),
    "model of the catalogue": lambda client, secret: client.get(f"/v1/models/{secret}"),
    "address": lambda client, secret: client.get(f"/v1/{secret}"),
    "content-type": with_header("content-type", "text/{}"),
    "user-agent": with_header("User-Agent", "tool/1 {}"),
    "correlation id": with_header("X-Correlation-Id"),
    "request id": with_header("X-Request-Id", "api_key={}"),
}
"""What is logged: known there are secrets by their shape."""

FROM_UPSTREAM: dict[str, Callable[[str], Script]] = {
    "refusal": lambda key: response("401 No", json.dumps({"error": {"message": f"Incorrect API key: {key}"}}).encode()),
    "bare": lambda key: response("400 No", key.encode()),
    "HTML": lambda key: response("200 OK", f"<p>{key}".encode(), content_type="text/html"),
    "content-type": lambda key: response("200 OK", b"x", content_type=f"text/{key}"),
    "event": lambda key: [STREAM_HEAD, b"data: " + json.dumps({"error": {"message": key}}).encode() + b"\n\n", CLOSE],
    "malformed event": lambda key: [STREAM_HEAD, f'data: {{"{key}\n\n'.encode(), CLOSE],
    "mid-answer": lambda key: [*answer("x")[:3], b'data: {"error":' + json.dumps(key).encode() + b"}\n\n", CLOSE],
    "finish reason": lambda key: [
        STREAM_HEAD,
        chunk("x"),
        b'data: {"choices":[{"finish_reason":["%b"]}]}\n\n' % key.encode(),
    ],
}

FORMATS = {"cloud": {"K_SERVICE": "sluice", "GOOGLE_CLOUD_PROJECT": "p"}, "readable": {}}


@pytest.mark.parametrize("format_", FORMATS.values(), ids=list(FORMATS))
def test_keys_and_tokens_never_appear_in_any_log_line(upstream: ScriptedUpstream, format_: dict[str, str]) -> None:
    environment = {"LOG_LEVEL": "DEBUG", "OPENAI_API_KEY": UPSTREAM_KEY, "OPENAI_BASE_URL": upstream.url, **format_}
    with running_function(environment) as function, function.client() as client:
        log = GrowingLog(function.log_file)

        def hides(send: Send, secret: str) -> None:
            lines = log.until_complete(send(client, secret).headers["x-request-id"])
            assert not [line for line in lines if secret in line]

        @given(st.sampled_from(list(IN_CREDENTIALS)), LETTERS | SHAPED)
        @settings(max_examples=150, deadline=None)
        def hides_credentials(place: str, secret: str) -> None:
            hides(IN_CREDENTIALS[place], secret)

        @given(st.sampled_from(list(IN_NAMES)), SHAPED)
        @settings(max_examples=100, deadline=None)
        def hides_what_looks_like_a_key(place: str, secret: str) -> None:
            hides(IN_NAMES[place], secret)

        hides_credentials()
        hides_what_looks_like_a_key()
        for send in (*IN_CREDENTIALS.values(), *IN_NAMES.values()):
            hides(send, function.key)
        for script in FROM_UPSTREAM.values():
            upstream.script = script(UPSTREAM_KEY)
            hides(lambda client, _: post(client, {**GOOD, "stream": True}), UPSTREAM_KEY)
        assert UPSTREAM_KEY not in function.log()
        assert function.key not in function.log()
