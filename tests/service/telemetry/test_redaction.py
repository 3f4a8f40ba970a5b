import html
import json
import logging
import re
import string
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.telemetry.entries import write
from sluice_service.telemetry.redaction import MAX_TEXT_CHARACTERS, REDACTED, Redactor, is_sensitive_name
from sluice_service.telemetry.rendering import FAMILIAR_NAMES
from tests.service.telemetry.logged import logged

START, END = "k3Y~", "~y3K"
"""Around every secret made here, so that a piece of it is found too, and the lines' own words are not mistaken for it."""

ANY_SECRET = st.text(st.characters(exclude_categories=()), min_size=1, max_size=30)
TOKEN = st.text(string.ascii_letters + string.digits + "-._~+/=!#$%()*,:;@[]^{|}", min_size=1, max_size=30)
WORD = st.text(string.ascii_letters + string.digits + "_-", min_size=8, max_size=40)
PADDING = st.text(string.ascii_letters + ' .,:;"{}[]()\\/\n', max_size=12)

ENCODERS: tuple[Callable[[str], str], ...] = (
    str,
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: json.dumps(json.dumps({"body": text})),
    repr,
    lambda text: repr([text]),
    lambda text: repr(text.encode("utf-8", "replace")),
    lambda text: quote(text, safe="", errors="replace"),
    lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="", errors="replace")),
    lambda text: quote_plus(text, errors="replace"),
    lambda text: quote(quote(text, errors="replace")),
    html.escape,
)

FORMS = (
    "Bearer {}",
    "bEARER  {}",
    "BASIC {}",
    "Authorization: Bearer {}",
    "authorization: {}",
    "Authorization: Digest x {}",
    "{{'authorization': 'Bearer {}'}}",
    "[(b'Authorization', b'Bearer {}')]",
    "Headers([('x-api-key', '{}')])",
    '{{"api_key": "{}"}}',
    '{{"apiKey":"{}"}}',
    "api_key={}",
    "OPENAI_API_KEY={}",
    "x-api-key: {}",
    "https://example.org/chat/stream?message=hi&token={}",
    "https://example.org/v1?key={}",
    "password={}",
    "password = '{}'",
    "client_secret: {}",
    "Settings(openai_api_key=SecretStr('{}'))",
    "Incorrect API key provided: {}",
    '"access_token": "{}"',
    "Cookie: a=b; session={}",
)

SHAPES = ("sk-{}", "sk-proj-{}", "AIza{}", "ya29.{}", "eyJhbGciOiJIUzI1NiJ9.{}.c2ln")


def write_everywhere(text: str) -> None:
    """The text in every place of an entry, of ours and of another library's."""
    try:
        fail(text)
    except RuntimeError as error:
        write("error_occurred", f"it said {text}", error=error, severity=logging.ERROR)
        logging.getLogger("other").exception("it said %s", text)
    nested = {"list": [text, {"deep": (text, {text})}], text: 1}
    write("request_received", text, answer=text, nested=nested, bytes=text.encode("utf-8", "replace"), object=Holder(text))
    logging.getLogger("other").warning("headers %r, url %s", {"q": text}, text, extra={"json_fields": {"field": text}})


def fail(text: str) -> None:
    try:
        {"": 0}[text]
    except KeyError as cause:
        raise RuntimeError(f"while: {text}") from cause


class Holder:
    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return f"<holds {self.text}>"


def assert_hidden(text: str, *, cloud: bool, secrets: tuple[str, ...] = ()) -> None:
    with logged(cloud=cloud, secrets=secrets) as caught:
        write_everywhere(text)
    assert REDACTED in caught.text
    assert START not in caught.text
    assert END not in caught.text


@pytest.mark.parametrize("cloud", [False, True], ids=["readable", "cloud"])
@given(ANY_SECRET, st.sampled_from(ENCODERS), PADDING, PADDING)
@settings(max_examples=150, deadline=None)
def test_keys_and_tokens_never_appear_in_any_log_line(
    cloud: bool, body: str, encode: Callable[[str], str], before: str, after: str
) -> None:
    secret = START + body + END
    assert_hidden(before + encode(secret) + after, cloud=cloud, secrets=("sk-another-one", secret))


@pytest.mark.parametrize("cloud", [False, True], ids=["readable", "cloud"])
@given(TOKEN, st.sampled_from(FORMS), st.sampled_from(ENCODERS), PADDING)
@settings(max_examples=300, deadline=None)
def test_keys_and_tokens_that_nobody_told_us_never_appear_in_any_log_line(
    cloud: bool, body: str, form: str, encode: Callable[[str], str], before: str
) -> None:
    assert_hidden(before + encode(form.format(START + body + END)), cloud=cloud)


@given(WORD, st.sampled_from(SHAPES), st.sampled_from(ENCODERS), st.sampled_from(["", " ", "x=", "\n", "(", '"', ":"]))
@settings(max_examples=150, deadline=None)
def test_keys_known_by_their_shape_never_appear_in_any_log_line(
    word: str, shape: str, encode: Callable[[str], str], before: str
) -> None:
    key = shape.format(word)
    assert key not in Redactor(())(encode(before + key))


@given(ANY_SECRET, st.sampled_from(["authorization", "X-API-Key", "upstream_token", "Password", "client_secret"]))
def test_fields_with_a_telling_name_are_hidden_whatever_they_hold(body: str, name: str) -> None:
    with logged(cloud=True) as caught:
        held = START + body
        fields: dict[str, Any] = {
            name: held,
            "h": {name: [held, 1]},
            "pairs": [(name, held)],
            "raw": {name.encode(): held},
        }
        write("request_received", "hello", **fields)
    assert START not in caught.text
    assert caught.document[name] == REDACTED


@pytest.mark.parametrize(
    "harmless",
    [
        "max_tokens: 5",
        '{"max_tokens": 5, "model": "m"}',
        "gen_ai.usage.input_tokens=3",
        "time_to_first_token_ms=12",
        "first_token_timeout after 30 s",
        "The task-manager-of-the-disk-drive asked for risk-assessment-today",
        "POST /v1/chat/completions 200",
        "http://127.0.0.1:8080/v1/models?limit=5",
        "The API key is not valid here.",
    ],
)
def test_ordinary_text_stays_as_it_is(harmless: str) -> None:
    assert Redactor(["sk-another-one"])(harmless) == harmless


def test_what_stands_around_a_secret_stays_readable() -> None:
    redact = Redactor(["a-known-secret"])
    assert redact("GET /?a=1&token=abc&b=2 failed") == f"GET /?a=1&token={REDACTED}&b=2 failed"
    assert redact("key a-known-secret refused") == f"key {REDACTED} refused"
    assert redact("sent Bearer abc and left") == f"sent Bearer {REDACTED} and left"


@pytest.mark.parametrize("value", ["abc(def)ghi", "(abc)def", "[abc]def", "f('abc')def"])
def test_brackets_do_not_end_what_is_hidden(value: str) -> None:
    assert Redactor(())(f"token={value} and more") == f"token={REDACTED} and more"


def test_private_keys_are_hidden_also_when_they_are_cut_off() -> None:
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nVgIB\n-----END RSA PRIVATE KEY-----"
    assert Redactor(())(f"a {pem} b") == f"a {REDACTED} b"
    assert Redactor(())(f"a {pem[:40]}") == f"a {REDACTED}"


def test_placeholders_are_no_secrets() -> None:
    assert Redactor(["", "ollama", " "])("ollama is up") == "ollama is up"


def test_secret_with_a_line_feed_at_its_end_is_found_without_it() -> None:
    assert Redactor(["a-known-secret\n"])("it was a-known-secret.") == f"it was {REDACTED}."


def test_long_text_is_cut_and_says_so() -> None:
    text = Redactor(())("x " * MAX_TEXT_CHARACTERS)
    assert len(text) < MAX_TEXT_CHARACTERS + 100
    assert text.endswith(f"(cut; {2 * MAX_TEXT_CHARACTERS} characters in all)")


@pytest.mark.parametrize("offset", range(0, 16, 3))
def test_cut_leaves_no_half_of_a_secret(offset: int) -> None:
    secret = "a-known-secret"
    text = "x" * (MAX_TEXT_CHARACTERS - offset) + secret * 3
    redacted = Redactor([secret])(text)
    assert "a-" not in redacted
    assert redacted.count("x") == MAX_TEXT_CHARACTERS - offset


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "\\",
            '"',
            "'",
            " ",
            "a",
            "%25",
            "%",
            "{",
            "(",
            "[(",
            "-",
            ".",
            "eyJ",
            "eyJaaaaaaaa.",
            "sk-",
            "\\u0022",
            "=",
            "token",
        ),
        *("Bearer ", "Basic+", "token=", "token:", 'token="', "token='\\\"", 'token=\\"', "token=(", "token=a(", 'token=("'),
        *("authorization:", "authorization: x ", "api key ", "api_key provided ", "cookie '", "-----BEGIN PRIVATE KEY-----"),
        *("a-known-secre", "-----BEGIN ", "password is ", "private_", "?key", "ya29.", '\\\\\\\\\\\\\\"token'),
    ],
)
def test_hostile_text_takes_no_more_than_linear_time(piece: str) -> None:
    redact = Redactor(["a-known-secret"])
    text = piece * (MAX_TEXT_CHARACTERS // len(piece))
    started = time.perf_counter()
    redact(text)
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize("name", ["authorization", "Proxy-Authorization", "api_key", "apikey", "x-goog-api-key", "id_token"])
def test_telling_names_are_known(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "gen_ai.usage.output_tokens", "time_to_first_token_ms", "model", "key_count"]
)
def test_other_names_are_not(name: str) -> None:
    assert not is_sensitive_name(name)


@pytest.mark.parametrize("name", sorted(FAMILIAR_NAMES))
def test_familiar_names_are_none_that_tell_a_secret(name: str) -> None:
    assert not is_sensitive_name(name)
    assert Redactor(())(name) == name
