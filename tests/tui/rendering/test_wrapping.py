"""Text in rows: nothing is lost, nothing is too wide, and what is settled is not wrapped again."""

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from sluice_tui.rendering.lines import Breaks
from sluice_tui.rendering.wrapping import is_narrow, row_starts
from tests.tui.rendering.showing import cut

words = st.sampled_from(
    ["a", "word", "longer-word", " ", "  ", "日本語", "、", "é", "👩‍👩‍👧‍👦", "❤️", "שלום", "e\u0301\u0301", "\n", "x" * 30]
)
texts = st.lists(words, max_size=60).map("".join)


def rows(text: str, width: int, *, words: bool = True) -> list[str]:
    starts = row_starts(text, width, words=words)
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


@settings(deadline=None)
@given(texts, st.integers(2, 40), st.booleans())
def test_every_row_fits_and_together_they_are_the_text(text: str, width: int, words: bool) -> None:
    found = rows(text, width, words=words)

    assert "".join(found) == text
    assert all(cell_len(row.rstrip(" \n") if words else row.rstrip("\n")) <= width for row in found)


@settings(deadline=None)
@given(texts, st.integers(2, 40), st.lists(st.integers(0, 300), max_size=8))
def test_text_that_grows_is_wrapped_as_it_would_be_whole(text: str, width: int, places: list[int]) -> None:
    breaks, written, starts = Breaks(), "", [0]
    for piece in cut(text, places):
        written += piece
        # What follows the stable part may be anything, and another thing the next time.
        breaks.of(written + "xy zzzz", len(written), width, True)
        starts = breaks.of(written, len(written), width, True)

    assert starts == row_starts(text, width)


@given(st.characters())
def test_what_is_taken_for_narrow_is_one_cell_wide(character: str) -> None:
    assert not is_narrow(character) or cell_len(character) == 1


def test_words_stay_whole_and_no_row_begins_with_a_full_stop() -> None:
    assert rows("one two  three", 7) == ["one two  ", "three"]
    assert rows("extraordinary", 5) == ["extra", "ordin", "ary"]
    assert rows("日本語。日本", 6) == ["日本", "語。日", "本"]
    assert rows("a日本語 words", 5) == ["a日本", "語 ", "words"]
