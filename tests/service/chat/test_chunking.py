import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.chat.chunking import split

CLUSTERS = (
    "a", "Z", " ", "\n", "\r\n", "\t", ".", "é", "e\u0301", "a\u0308\u0323", "日", "👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "🇫🇷",
    "क्षि", "\u1100\u1161\u11a8", "\u0301", "\u200d", "\u200b", "\x00",
)  # fmt: skip
TEXTS = st.one_of(st.lists(st.sampled_from(CLUSTERS), max_size=120).map("".join), st.text(max_size=120))
SIZES = st.tuples(st.integers(1, 12), st.integers(0, 12)).map(lambda sizes: (sizes[0], sum(sizes)))


def clusters(text: str) -> list[str]:
    return regex.findall(r"\X", text)


@given(TEXTS, SIZES)
@settings(max_examples=300, deadline=None)
def test_property_splitting_never_breaks_a_character_or_grapheme(text: str, sizes: tuple[int, int]) -> None:
    pieces = split(text, *sizes)

    assert "".join(pieces) == text
    assert [cluster for piece in pieces for cluster in clusters(piece)] == clusters(text)


@given(TEXTS, SIZES)
@settings(max_examples=300, deadline=None)
def test_property_chunk_sizes_within_the_configured_range(text: str, sizes: tuple[int, int]) -> None:
    smallest, largest = sizes
    lengths = [len(clusters(piece)) for piece in split(text, smallest, largest)]

    assert all(smallest <= length <= largest for length in lengths[:-1])
    assert all(1 <= length <= largest for length in lengths[-1:])
    # A short last piece is right only where no number of pieces within the range adds up to the text.
    total = sum(lengths)
    if any(count * smallest <= total <= count * largest for count in range(1, total + 1)):
        assert all(length >= smallest for length in lengths)


def test_pieces_end_after_a_word_where_the_range_has_such_an_end() -> None:
    assert split("The quick brown fox jumps over the lazy dog.", 3, 9) == [
        "The ", "quick ", "brown ", "fox ", "jumps ", "over the ", "lazy dog.",
    ]  # fmt: skip


def test_a_word_longer_than_the_range_is_cut_at_the_largest_size() -> None:
    assert split("incomprehensibilities", 2, 8) == ["incompre", "hensibil", "ities"]


def test_the_end_is_balanced_so_that_no_crumb_is_left() -> None:
    assert [len(piece) for piece in split("x" * 33, 8, 16)] == [16, 9, 8]


def test_line_end_of_two_characters_is_one_cluster_in_plain_ascii_too() -> None:
    assert split("a\r\nb\n\r", 1, 1) == ["a", "\r\n", "b", "\n", "\r"]


def test_a_text_shorter_than_the_smallest_size_is_one_piece() -> None:
    assert split("hi", 8, 32) == ["hi"]


def test_an_empty_text_has_no_pieces() -> None:
    assert split("", 1, 2) == []


@pytest.mark.parametrize("sizes", [(0, 5), (-1, 5), (6, 5)])
def test_sizes_that_make_no_range_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="smallest <= largest"):
        split("text", *sizes)
