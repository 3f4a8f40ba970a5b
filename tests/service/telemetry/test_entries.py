import io
import json
import logging
import re
from typing import Any

import flask
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.telemetry.context import RequestContext
from sluice_service.telemetry.entries import is_debug, write
from tests.service.telemetry.logged import Logged, logged

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
ANY_TEXT = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\r\n\x1b\x9b\x85\u2028\u202e\0\x1e=\"' "), max_size=30
)


class Unprintable:
    def __str__(self) -> str:
        raise LookupError("sk-inside-the-object")


class Bottomless:
    def __str__(self) -> str:
        return str(self)


def fall(depth: int) -> None:
    if depth:
        rise(depth - 1)
    raise LookupError("the bottom")


def rise(depth: int) -> None:
    fall(depth)


def raised(text: str) -> ValueError:
    try:
        raise ValueError(text)  # noqa: TRY301  # it shall have a traceback
    except ValueError as error:
        return error


def test_entry_has_its_fields_at_the_top_level_and_leaves_out_what_is_none(cloud: Logged) -> None:
    write("response_complete", "done", stream=True, chunks=3, user=None, **{"gen_ai.usage.input_tokens": 7})  # type: ignore[arg-type]
    document = cloud.document
    assert document["severity"] == "INFO"
    assert document["event"] == "response_complete"
    assert document["message"] == "done"
    assert (document["stream"], document["chunks"], document["gen_ai.usage.input_tokens"]) == (True, 3, 7)
    assert "user" not in document


@pytest.mark.usefixtures("current")
def test_entry_names_its_trace_and_its_request(cloud: Logged) -> None:
    write("request_received", "hello")
    document = cloud.document
    assert document["logging.googleapis.com/trace"] == "projects/a-project/traces/4bf92f3577b34da6a3ce929d0e0e4736"
    assert document["logging.googleapis.com/spanId"] == "00f067aa0ba902b7"
    assert document["logging.googleapis.com/trace_sampled"] is True
    names = ("correlation_id", "request_id", "stream_id", "user", "agent")
    assert [document[name] for name in names] == ["c-1", "r-1", "s-1", "alice", "demo"]


@pytest.mark.usefixtures("current")
def test_trace_is_a_plain_field_when_the_project_is_not_known() -> None:
    with logged(cloud=True, project=None) as caught:
        write("request_received", "hello")
    assert "logging.googleapis.com/trace" not in caught.document
    assert caught.document["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_entry_outside_of_any_request_has_no_trace(cloud: Logged) -> None:
    write("stream_cleanup", "released")
    assert [name for name in cloud.document if "trace" in name or "span" in name or "_id" in name] == []


def test_entry_of_another_library_has_the_request_too(either: Logged, current: RequestContext) -> None:
    logging.getLogger("some.library").warning("it took %d s", 3)
    assert "it took 3 s" in either.text
    assert current.correlation_id in either.text
    assert "4bf92f3577b34da6a3ce929d0e0e4736" in either.text


def test_explicit_field_wins_over_that_of_the_request(cloud: Logged, current: RequestContext) -> None:
    write("request_received", "hello", agent="another")
    assert (cloud.document["agent"], cloud.document["user"]) == ("another", current.user)


def test_http_request_becomes_the_entrys_own(cloud: Logged) -> None:
    write("response_complete", "done", httpRequest={"requestMethod": "POST", "status": 200})
    assert cloud.document["httpRequest"] == {"requestMethod": "POST", "status": 200}


def test_source_location_is_where_the_entry_was_written(cloud: Logged) -> None:
    write("response_complete", "done")
    location = cloud.document["logging.googleapis.com/sourceLocation"]
    assert location["file"] == __file__
    assert location["function"] == "test_source_location_is_where_the_entry_was_written"


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (logging.WARNING, "WARNING"),
        (logging.ERROR, "ERROR"),
        (logging.CRITICAL, "CRITICAL"),
        (35, "WARNING"),
        (99, "CRITICAL"),
    ],
)
def test_severity_is_one_that_cloud_logging_knows(cloud: Logged, level: int, severity: str) -> None:
    logging.getLogger("some.library").log(level, "hello")
    assert cloud.document["severity"] == severity


def test_time_is_utc_with_microseconds(either: Logged) -> None:
    write("request_received", "hello")
    (time,) = re.findall(TIME, either.text)
    assert time


def test_readable_line_is_time_severity_event_message_and_fields(readable: Logged, current: RequestContext) -> None:
    write("request_received", "POST /chat", severity=logging.WARNING, message_count=2, note="two words", list=["a", 1])
    assert re.fullmatch(
        TIME + r" WARNING request_received POST /chat correlation_id=c-1 request_id=r-1 stream_id=s-1 user=alice "
        r'agent=demo message_count=2 note="two words" list=\["a",1\] trace=4bf92f3577b34da6a3ce929d0e0e4736\n',
        readable.text,
    )
    assert current.correlation_id in readable.text


def test_message_that_looks_like_fields_is_quoted(readable: Logged) -> None:
    write("request_received", 'hello user=root "x"')
    assert r'request_received "hello user=root \"x\""' in readable.text


def test_traceback_is_told_with_its_cause(either: Logged) -> None:
    error = raised("inner")
    outer = RuntimeError("outer")
    outer.__cause__ = error
    write("error_occurred", "failed", severity=logging.ERROR, error=outer)
    assert "ValueError: inner" in either.text
    assert "RuntimeError: outer" in either.text
    assert len(either.lines) == 1


def test_traceback_is_where_error_reporting_looks_for_it(cloud: Logged) -> None:
    write("error_occurred", "failed", error=raised("inner"))
    assert cloud.document["stack_trace"].startswith("Traceback (most recent call last):\n")


def test_long_traceback_is_told_from_where_it_was_raised(either: Logged) -> None:
    with pytest.raises(LookupError) as caught:
        fall(350)
    write("error_occurred", "failed", error=caught.value)
    assert "LookupError: the bottom" in either.text
    assert "(cut;" not in either.text


@pytest.mark.parametrize("cloud", [False, True], ids=["readable", "cloud"])
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_every_entry_is_exactly_one_line_whatever_it_holds(cloud: bool, event: str, text: str, name: str) -> None:
    with logged(cloud=cloud) as caught:
        fields: dict[str, Any] = {f"x{name}": text, "nested": [{name: text}]}
        write(event, text, error=raised(text), **fields)
        logging.getLogger("some.library").warning(text, extra={"json_fields": {name: text}})
    assert len(caught.lines) == 2
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", caught.text)
    assert not cloud or [document["time"] for document in caught.documents]


def test_control_characters_are_shown_as_escapes() -> None:
    # Not by the fixture: pytest itself would keep the entry, and xdist cannot send a lone surrogate.
    with logged(cloud=True) as caught:
        write("request_received", "a\r\nb\x1b[31m\u2028\u202e\x9b\ud800")
    assert caught.document["message"] == r"a\r\nb\x1b[31m\u2028\u202e\x9b\ud800"


def test_message_that_is_json_stays_text(cloud: Logged) -> None:
    forged = '{"severity": "CRITICAL", "user": "root", "time": "1970-01-01T00:00:00Z"}'
    logging.getLogger("some.library").warning(forged)
    assert cloud.document["message"] == forged
    assert cloud.document["severity"] == "WARNING"
    assert "user" not in cloud.document


def test_fields_cannot_take_the_place_of_what_the_entry_says_itself(cloud: Logged) -> None:
    forged = {"severity": "DEBUG", "time": "1970-01-01T00:00:00Z", "message": "forged", "logging.googleapis.com/trace": "x"}
    logging.getLogger("some.library").warning("true", extra={"json_fields": forged})
    document = cloud.document
    assert (document["severity"], document["message"]) == ("WARNING", "true")
    assert "logging.googleapis.com/trace" not in document
    assert not document["time"].startswith("1970")


@pytest.mark.parametrize("host", ["trusted.example", "untrusted.example"])
def test_nothing_is_guessed_from_the_request_that_flask_serves(cloud: Logged, host: str) -> None:
    app = flask.Flask("test")
    app.config["TRUSTED_HOSTS"] = ["trusted.example"]
    headers = {"Host": host, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    with app.test_request_context("/chat/stream?token=abc", headers=headers):
        write("request_received", "hello")
    assert cloud.document["message"] == "hello"
    assert not {"httpRequest", "logging.googleapis.com/trace"} & set(cloud.document)
    assert "abc" not in cloud.text


def test_what_another_library_hands_to_googles_handler_never_raises(cloud: Logged) -> None:
    logging.getLogger("some.library").warning("hello", extra={"http_request": Unprintable(), "labels": 1, "trace": "forged"})
    assert cloud.document["message"] == "hello"
    assert "logging.googleapis.com/trace" not in cloud.document


@pytest.mark.parametrize("cloud", [False, True], ids=["readable", "cloud"])
@pytest.mark.parametrize("raise_exceptions", [True, False])
@pytest.mark.parametrize(
    "value",
    [Unprintable(), {Unprintable(): 1}, [[Unprintable()]], Bottomless()],
    ids=["value", "name", "nested", "bottomless"],
)
def test_what_cannot_be_written_never_raises_and_tells_nothing_of_itself(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cloud: bool,
    raise_exceptions: bool,
    value: object,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", raise_exceptions)
    # Not by the fixture: pytest's own handler raises.
    with logged(cloud=cloud) as caught:
        write("request_received", "hello", field=value)
        logging.getLogger("some.library").warning("%d", "sk-not-a-number")
    assert caught.text.count("could not be written") == 2
    assert "sk-" not in caught.text
    assert capsys.readouterr() == ("", "")


def test_endless_structures_are_cut_off(either: Logged) -> None:
    loop: list[object] = []
    loop += [loop, loop]
    deep: object = "end"
    for _ in range(10_000):
        deep = [deep]
    write("request_received", "hello", loop=loop, deep=deep, wide=list(range(10**6)), number=10**5000, nan=float("nan"))
    assert "hello" in either.text
    assert len(either.text) < 600_000


def test_broken_stream_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", True)
    closed = io.StringIO()
    closed.close()
    with logged(cloud=False, stream=closed):
        write("request_received", "hello")


@given(st.lists(ANY_TEXT, min_size=1, max_size=4), st.integers(min_value=1000, max_value=5000))
@settings(max_examples=20, deadline=None)
def test_entry_never_passes_what_cloud_logging_takes(some: list[str], times: int) -> None:
    texts = [text * times for text in some]
    with logged(cloud=True) as caught:
        write("request_received", texts[0], texts=texts, error=raised(texts[0]), chunks=3)
    assert len(caught.text.encode()) < 256 * 1024
    assert caught.document["chunks"] == 3


def test_stream_that_lacks_characters_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii", write_through=True)
    with logged(cloud=False, stream=stream):
        write("request_received", "é🎉")
    assert b"\\xe9\\U0001f389" in raw.getvalue()
    stream.close()


def test_cloud_lines_are_ascii_and_keep_every_character(cloud: Logged) -> None:
    write("request_received", "é🎉")
    assert cloud.text.isascii()
    assert json.loads(cloud.text)["message"] == "é🎉"


@pytest.mark.parametrize(("level", "debug"), [("DEBUG", True), ("INFO", False)])
def test_debug_entries_are_written_when_asked_for(level: str, debug: bool) -> None:
    with logged(cloud=True, level=level) as caught:
        assert is_debug() is debug
        write("chunk_sent", "sent", severity=logging.DEBUG, sequence=1)
    assert ("chunk_sent" in caught.text) is debug
