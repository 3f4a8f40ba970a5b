import unicodedata
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_tui.safety import MAX_MARKS, MarksInPieces, inert, inert_line, inert_report, within_marks
from sluice_wire.errors import ErrorReport

# Controls, bidi, tags and surrogates far more often than chance would bring them.
active = st.sampled_from([chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x2028, 0x202F))])
hostile_text = st.text(st.one_of(active, st.characters(), st.characters(min_codepoint=0xE0000, max_codepoint=0xE007F)))


def acts_on_a_terminal(character: str) -> bool:
    """By Unicode's own classes: controls, surrogates, bidi controls, line separators; and the tag block."""
    return (unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t") or (
        unicodedata.bidirectional(character) in BIDI_CLASSES or 0xE0000 <= ord(character) <= 0xE007F
    )


BIDI_CLASSES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(hostile_text)
def test_inert_text_holds_nothing_that_a_terminal_acts_upon(text: str) -> None:
    assert not [character for character in inert(text) if acts_on_a_terminal(character)]


@given(hostile_text)
def test_making_inert_twice_changes_nothing_more(text: str) -> None:
    assert inert(inert(text)) == inert(text)


@given(hostile_text, st.lists(st.integers(0, 200)))
def test_inert_text_is_the_same_however_it_is_cut(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut <= len(text))})

    assert "".join(inert(text[start:end]) for start, end in pairwise(places)) == inert(text)


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])))
def test_ordinary_text_of_any_language_is_left_alone(text: str) -> None:
    assert inert(text) == text


marked_text = st.text(st.one_of(st.characters(categories=["Mn", "Me"]), st.sampled_from("ab\u200d")), max_size=60)


@settings(deadline=None)
@given(marked_text, st.lists(st.integers(0, 60)))
def test_no_character_carries_more_marks_than_the_limit_however_the_text_is_cut(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut <= len(text))})
    marks = MarksInPieces()

    shown = "".join(marks.within(text[start:end]) for start, end in pairwise(places))

    assert shown == within_marks(text)
    kept = "".join("m" if unicodedata.category(character) in ("Mn", "Me") else "." for character in shown)
    assert "m" * (MAX_MARKS + 1) not in kept


def test_marks_of_every_script_are_counted() -> None:
    marks = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Mn", "Me")]

    assert not [mark for mark in marks if len(within_marks("a" + mark * 20)) != 1 + MAX_MARKS]


def test_format_characters_that_nothing_shows_are_named() -> None:
    assert inert("\u2063\u206a\ufff9\U0001d173") == "⟨U+2063⟩⟨U+206A⟩⟨U+FFF9⟩⟨U+1D173⟩"
    assert inert("\u200c\u200d\u00ad\u0600") == "\u200c\u200d\u00ad\u0600"


def test_controls_become_their_pictures() -> None:
    assert inert("\x1b]0;title\x07 \x00 \x7f \x9b1m \r\n\tok") == "␛]0;title␇ ␀ ␡ ⟨U+009B⟩1m ␍\n\tok"


def test_overrides_and_tags_are_named() -> None:
    assert inert("a\u202eb\U000e0041c") == "a⟨U+202E⟩b⟨U+E0041⟩c"


def test_marks_of_reading_order_are_named() -> None:
    assert inert("\u200e\u200f\u061c") == "⟨U+200E⟩⟨U+200F⟩⟨U+061C⟩"


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    assert inert("\ud83d!") == "\ufffd!"


def test_a_line_is_one_short_line() -> None:
    assert inert_line("a\n b\t\x1b[1m" + "x" * 20, limit=12) == "a b ␛[1mxxx…"


def test_every_part_of_a_report_is_made_inert() -> None:
    bad = "a\x1b[2Jb\nc"
    report = ErrorReport(bad, bad, bad, bad, type=bad, param=bad, correlation_id=bad)

    shown = inert_report(report)

    parts = (shown.code, shown.what, shown.why, shown.action, shown.type, shown.param, shown.correlation_id)
    assert set(parts) == {"a␛[2Jb c"}
