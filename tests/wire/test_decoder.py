from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice_wire.decoder import Decoder, EventTooLong, ServerSentEvent
from tests.wire.reference import parse

FRAGMENTS = (
    *(b"data", b"data:", b"data: ", b"event:", b"id:", b"id", b"retry:", b": ping", b":", b" ", b"x", b"add", b"7", b"0042"),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\0", b"\xef\xbb\xbf", b"\xef\xbb", b"\xbf"),
    *("\u2028".encode(), "\u2029".encode(), "\x85".encode(), b"\x0b", b"\x0c", "é".encode(), "🎉".encode(), "٣".encode()),
    *(b"\xff", b"\xe2\x82", b"\xf0\x9f\x8e", b"\xed\xa0\x80", b"\xc0\xaf"),
)
STREAMS = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=40).map(b"".join)


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def decoded(*pieces: bytes) -> list[tuple[str, str, str]]:
    decoder = Decoder()
    return [(event.data, event.event, event.id) for piece in pieces for event in decoder.feed(piece)]


def data_of(*pieces: bytes) -> list[str]:
    return [data for data, _, _ in decoded(*pieces)]


def outcome(decoder: Decoder, pieces: Sequence[bytes]) -> tuple[list[ServerSentEvent], bool]:
    """The events, and whether the decoder gave up."""
    events: list[ServerSentEvent] = []
    try:
        for piece in (*pieces, b""):
            events += decoder.feed(piece)
    except EventTooLong:
        return events, True
    return events, False


@given(STREAMS, st.lists(st.integers(min_value=0, max_value=500), max_size=20))
@settings(max_examples=500)
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [1, 2, 4])
@example(b"data: a\r\n\r\ndata: b\r\r", [8, 9, 10])
def test_any_bytes_in_any_pieces_give_what_the_standard_says(stream: bytes, places: list[int]) -> None:
    decoder = Decoder()
    events = [(event.data, event.event, event.id) for piece in cut(stream, places) for event in decoder.feed(piece)]
    expected = parse(stream)
    assert events == expected.events
    assert decoder.last_event_id == expected.last_event_id
    assert decoder.retry_milliseconds == expected.retry


EVENTS = st.lists(st.sampled_from((b"data: add\n\n", b"data: \xc3\xa9\n\n", b"data: [DONE]\n\n")) | STREAMS, max_size=12)


@given(EVENTS)
@settings(max_examples=500)
@example([b"\xef\xbb\xbf", b"data: a\n\n"])
@example([b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n"])
@example([b"event: error\n", b"data: a\n\n"])
@example([b"id: 7\n", b"data: a\n\n", b"data: b\n\n"])
@example([b"data: a\r", b"data: b\n\n"])
def test_whole_lines_are_what_feeding_them_gives(pieces: list[bytes]) -> None:
    shortcut, plain = Decoder(), Decoder()
    for piece in pieces:
        expected = [event.data for event in plain.feed(piece)]
        lines = shortcut.whole_lines(piece)
        found = (
            [event.data for event in shortcut.feed(piece)]
            if lines is None
            else [line.decode("utf-8", "replace") for line in lines]
        )
        assert found == expected
        assert shortcut.last_event_id == plain.last_event_id


@pytest.mark.parametrize("data", [b"data: a\n\n", b"data: a\n\ndata: \n\ndata: b\n\n"])
def test_what_models_send_is_whole_lines(data: bytes) -> None:
    assert Decoder().whole_lines(data) is not None


@given(STREAMS)
def test_single_bytes_give_what_the_whole_gives(stream: bytes) -> None:
    assert decoded(*(stream[i : i + 1] for i in range(len(stream)))) == decoded(stream)


@given(STREAMS, st.lists(st.integers(min_value=0, max_value=500), max_size=20), st.integers(min_value=1, max_value=12))
@settings(max_examples=300)
def test_bounds_do_not_depend_on_how_the_stream_is_cut(stream: bytes, places: list[int], bound: int) -> None:
    assert outcome(Decoder(bound), cut(stream, places)) == outcome(Decoder(bound), [stream])


def test_example_three_messages() -> None:
    stream = (
        b"data: This is the first message.\n\n"
        b"data: This is the second message, it\ndata: has two lines.\n\n"
        b"data: This is the third message.\n\n"
    )
    assert data_of(stream) == [
        "This is the first message.",
        "This is the second message, it\nhas two lines.",
        "This is the third message.",
    ]


def test_example_add_and_remove_events() -> None:
    stream = b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n"
    assert decoded(stream) == [("73857293", "add", ""), ("2153", "remove", ""), ("113411", "add", "")]


def test_example_yhoo_quote() -> None:
    assert data_of(b"data: YHOO\ndata: +2\ndata: 10\n\n") == ["YHOO\n+2\n10"]


def test_example_four_blocks_of_a_test_stream() -> None:
    decoder = Decoder()
    events = decoder.feed(b": test stream\n\ndata: first event\nid: 1\n\n")
    assert (events, decoder.last_event_id) == ([ServerSentEvent("first event", id="1")], "1")
    events = decoder.feed(b"data:second event\nid\n\n")
    assert (events, decoder.last_event_id) == ([ServerSentEvent("second event")], "")
    assert decoder.feed(b"data:  third event\n") == []
    assert decoder.feed(b"\n") == [ServerSentEvent(" third event")]


def test_example_two_events_of_empty_data_and_an_unfinished_one() -> None:
    assert data_of(b"data\n\ndata\ndata\n\ndata:") == ["", "\n"]


def test_example_a_space_after_the_colon_is_ignored() -> None:
    assert data_of(b"data:test\n\ndata: test\n\n") == ["test", "test"]


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("second", range(4))
def test_byte_order_mark_is_dropped_however_it_is_split(first: int, second: int) -> None:
    stream = b"\xef\xbb\xbfdata: a\n\n"
    assert data_of(*cut(stream, [first, second])) == ["a"]


def test_byte_order_mark_is_dropped_only_once_and_only_at_the_start() -> None:
    assert data_of(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n") == ["b"]
    assert data_of(b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: \xef\xbb\xbfc\n\n") == ["a", "\ufeffc"]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_is_understood_across_every_boundary(end: bytes) -> None:
    stream = end.join((b"id: 1", b"data: a", b"data: b", b"", b": c", b"data: d", b"", b""))
    for place in range(len(stream) + 1):
        assert decoded(stream[:place], b"", stream[place:]) == [("a\nb", "message", "1"), ("d", "message", "1")]


def test_line_feed_after_a_carriage_return_in_the_next_piece_is_one_line_end() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\r") == [ServerSentEvent("a")]
    assert decoder.feed(b"\ndata: b\n\n") == [ServerSentEvent("b")]


def test_comments_say_nothing_and_do_not_end_an_event() -> None:
    assert data_of(b": OPENROUTER PROCESSING\n\ndata: a\n:\n: ping\ndata: b\n\n") == ["a\nb"]


def test_field_without_a_colon_has_an_empty_value() -> None:
    assert decoded(b"event: add\nevent\ndata\n\n") == [("", "message", "")]


def test_unknown_fields_and_fields_in_another_case_are_ignored() -> None:
    assert data_of(b"DATA: a\n data: b\ndatas: c\ndata : d\nfoo: e\n\n") == []


def test_id_with_nul_is_ignored() -> None:
    assert decoded(b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n") == [("a", "message", "1"), ("b", "message", "1")]


def test_id_stays_for_later_events_and_an_empty_one_resets_it() -> None:
    assert decoded(b"id: 1\ndata: a\n\ndata: b\n\nid:\ndata: c\n\n") == [
        ("a", "message", "1"),
        ("b", "message", "1"),
        ("c", "message", ""),
    ]


def test_id_of_a_block_without_data_becomes_the_last_event_id() -> None:
    decoder = Decoder()
    assert decoder.feed(b"id: s.0\n\n") == []
    assert decoder.last_event_id == "s.0"


def test_id_of_an_unfinished_block_does_not_become_the_last_event_id() -> None:
    decoder = Decoder()
    decoder.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert decoder.last_event_id == "1"


def test_event_type_does_not_outlive_a_block_without_data() -> None:
    assert decoded(b"event: add\n\ndata: a\n\n") == [("a", "message", "")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1500", 1500),
        (b"0", 0),
        (b"00000000000000000000000005", 5),
        (b"", None),
        (b"-1", None),
        (b"+1", None),
        (b"1.5", None),
        (b"1 ", None),
        (b"1_000", None),
        ("٣".encode(), None),
        ("²".encode(), None),
    ],
)
def test_retry_takes_ascii_digits_only(value: bytes, expected: int | None) -> None:
    decoder = Decoder()
    decoder.feed(b"retry: " + value + b"\n")
    assert decoder.retry_milliseconds == expected


def test_retry_of_ten_thousand_digits_is_a_long_time_and_no_error() -> None:
    decoder = Decoder()
    decoder.feed(b"retry: " + b"9" * 10_000 + b"\n")
    assert decoder.retry_milliseconds is not None
    assert decoder.retry_milliseconds > 10**15


def test_characters_split_between_pieces_arrive_whole() -> None:
    stream = "data: é🎉\u20ac\n\n".encode()
    for place in range(len(stream) + 1):
        assert data_of(stream[:place], stream[place:]) == ["é🎉€"]


@pytest.mark.parametrize("invalid", [b"\xff", b"\xe2\x82", b"\xf0\x9f\x8e", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80"])
def test_invalid_utf8_is_replaced_as_it_is_when_the_whole_is_decoded(invalid: bytes) -> None:
    stream = b"data: a" + invalid + b"b\ndata: " + invalid + b"\nid: " + invalid + b"\n\n"
    assert decoded(*(stream[i : i + 1] for i in range(len(stream)))) == parse(stream).events
    assert "\ufffd" in data_of(stream)[0]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_only_cr_and_lf_end_a_line(character: str) -> None:
    assert data_of(f"data: a{character}data: b\n\n".encode()) == [f"a{character}data: b"]


def test_unfinished_event_is_discarded() -> None:
    assert data_of(b"data: a\n\ndata: b\n") == ["a"]


def test_unfinished_line_beyond_the_bound_is_refused() -> None:
    decoder = Decoder(max_event_bytes=10)
    decoder.feed(b"data: 12")
    with pytest.raises(EventTooLong, match="line"):
        decoder.feed(b"345")


def test_event_of_many_short_lines_beyond_the_bound_is_refused() -> None:
    with pytest.raises(EventTooLong, match="event"):
        Decoder(max_event_bytes=20).feed(b"data: 123\n" * 6)


def test_bound_counts_one_event_and_not_the_stream() -> None:
    decoder = Decoder(max_event_bytes=20)
    assert len([event for _ in range(100) for event in decoder.feed(b"data: 123\n\n: 4567\n")]) == 100


def test_events_before_the_one_that_is_too_long_are_not_lost() -> None:
    decoder = Decoder(max_event_bytes=10)
    assert decoder.feed(b"data: a\n\ndata: 1234567890") == [ServerSentEvent("a")]
    with pytest.raises(EventTooLong):
        decoder.feed(b"")


def test_nothing_is_read_after_an_event_that_was_too_long() -> None:
    decoder = Decoder(max_event_bytes=10)
    with pytest.raises(EventTooLong):
        decoder.feed(b"data: 1234567890")
    with pytest.raises(EventTooLong):
        decoder.feed(b"\n\ndata: a\n\n")


def test_half_of_an_event_that_was_too_long_never_arrives() -> None:
    decoder = Decoder(max_event_bytes=20)
    with pytest.raises(EventTooLong):
        decoder.feed(b"data: 123\n" * 6)
    with pytest.raises(EventTooLong):
        decoder.feed(b"\n")


def test_one_space_after_the_colon_is_ignored_and_no_more() -> None:
    assert decoded(b"event:  add\nid:  1\ndata:  a\ndata:\tb\n\n") == [(" a\n\tb", " add", " 1")]
