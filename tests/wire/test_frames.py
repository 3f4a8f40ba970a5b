import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice_wire.decoder import Decoder
from sluice_wire.frames import HEARTBEAT_BLOCK, HEARTBEAT_LINE, encode_frame
from tests.wire.reference import parse

ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\r\n\0: \u2028\x85\ufeff"))


def utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def one_line(text: str) -> str:
    return utf8(re.sub("[\r\n\0]", "", text))


@given(ANY_TEXT, st.none() | ANY_TEXT, st.none() | ANY_TEXT, st.none() | st.integers(min_value=0, max_value=10**9))
@settings(max_examples=300)
@example("a\r\nb\rc\nd", "1\nevent: forged", "x\r\ndata: forged", 0)
def test_every_sse_frame_parses_by_the_standard_for_any_text(
    data: str, id: str | None, event: str | None, retry: int | None
) -> None:
    frame = encode_frame(data, id=id, event=event, retry=retry)
    parsed = parse(frame)
    expected_data = utf8(re.sub("\r\n|\r", "\n", data))
    assert parsed.events == [(expected_data, one_line(event or "") or "message", one_line(id or ""))]
    assert parsed.retry == retry
    assert [(e.data, e.event, e.id) for e in Decoder().feed(frame)] == parsed.events


@given(st.lists(ANY_TEXT, max_size=5))
def test_frames_after_each_other_stay_apart(texts: list[str]) -> None:
    stream = b"".join(encode_frame(text) for text in texts)
    assert len(parse(stream).events) == len(texts)


@given(st.lists(st.sampled_from([HEARTBEAT_BLOCK, HEARTBEAT_LINE]), max_size=4))
def test_heartbeats_between_frames_change_nothing(heartbeats: list[bytes]) -> None:
    stream = b"".join((encode_frame("a", id="1"), *heartbeats, encode_frame("b", id="2"), *heartbeats))
    assert parse(stream).events == [("a", "message", "1"), ("b", "message", "2")]


def test_frame_is_ended_by_a_blank_line_and_has_nothing_else() -> None:
    assert encode_frame("a\nb", id="7", event="add", retry=5) == b"id: 7\nevent: add\nretry: 5\ndata: a\ndata: b\n\n"


def test_heartbeat_for_streams_with_ids_holds_no_blank_line() -> None:
    assert HEARTBEAT_LINE.count(b"\n") == 1
    assert HEARTBEAT_BLOCK.endswith(b"\n\n")
