"""Answers as lines: the same whole as in pieces, and nothing in them hides, vanishes or acts."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from sluice_tui.rendering.lines import CURSOR
from sluice_tui.safety import inert
from tests.tui.rendering.showing import Shown, cut, documents, places, shown, text_of

widths = st.sampled_from([7, 30, 60])


@settings(max_examples=300, deadline=None)
@given(source=documents, places=places, width=widths)
@example(source="word " * 2000, places=[1, 3000, 5000], width=30)
@example(source="```python\n" + '"""doc\nmore"""\nx = 1\n' * 40, places=[20, 300, 500, 700], width=30)
@example(source="| a | b |\n|-|-|\n" + "".join(f"| {'x' * n} | y |\n" for n in range(60)), places=[40, 200, 1000], width=30)
def test_an_answer_in_pieces_ends_as_it_would_have_looked_whole(source: str, places: list[int], width: int) -> None:
    pieces = [inert(piece) for piece in cut(source, places)]

    assert shown(pieces, width).rows() == shown(["".join(pieces)], width).rows()


@settings(max_examples=100, deadline=None)
@given(source=documents)
def test_an_answer_written_character_by_character_ends_as_it_would_have_looked_whole(source: str) -> None:
    assert shown(list(inert(source))).rows() == shown([inert(source)]).rows()


@settings(max_examples=100, deadline=None)
@given(source=documents, places=places)
def test_one_cursor_stands_at_the_end_and_none_when_it_has_ended(source: str, places: list[int]) -> None:
    view = Shown()
    for piece in cut(source, places):
        rows = view.write(inert(piece)).text().splitlines()
        assert sum(row.count(CURSOR) for row in rows) == 1
        assert CURSOR in "".join(rows[-2:])

    assert CURSOR not in view.end().text()


@settings(max_examples=200, deadline=None)
@given(source=documents, width=st.integers(2, 50))
def test_no_row_is_wider_than_the_screen(source: str, width: int) -> None:
    margin = 14  # what quotes, items and columns take where there is no room for them

    for row in shown([inert(source)], width).rows():
        assert sum(cell_len(piece.text) for piece in row.pieces) <= max(width, margin * 2)


@settings(max_examples=100, deadline=None)
@given(source=documents, place=st.integers(0, 300))
def test_lines_that_were_final_are_not_made_again(source: str, place: int) -> None:
    source = inert(source)
    view = Shown().write(source[:place])
    before = list(view.document.lines)

    view.write(source[place : place + 5])
    view.write("\n\nmore")

    same = sum(old is new for old, new in zip(before, view.document.lines, strict=False))
    assert same >= len(before) - 40  # the lines of code whose colours wait for those to come


@pytest.mark.parametrize(
    "source",
    ["<think>\nplan\n</think>", "<b>bold</b>", "<!-- secret -->", "<script>x</script>", "[1]: https://x.test", "<x y='z'>"],
)
def test_what_markdown_would_hide_is_shown(source: str) -> None:
    assert text_of(source).split() == source.split()


def test_a_row_with_too_many_cells_loses_none() -> None:
    assert text_of("| a | b |\n|---|---|\n| 1 | 2 | 3 | 4 |").splitlines()[-1] == "1 │ 2 | 3 | 4"


def test_characters_that_markdown_spells_out_are_inert_too() -> None:
    assert text_of("a&#x202e;b&#xE0041;c &lt;ok&gt;") == "a⟨U+202E⟩b⟨U+E0041⟩c <ok>"


def test_line_separators_do_not_shift_blocks() -> None:
    source = inert("one\u2028two\u0085three\x0bfour\n\n- item\n\n# heading")

    assert text_of(source) == "one⟨U+2028⟩two⟨U+0085⟩three␋four\n\n• item\n\nheading"


def test_marks_that_would_be_drawn_over_other_rows_are_left_out() -> None:
    assert text_of("e" + "\u0301" * 200) == "e" + "\u0301" * 8
    assert text_of("```\ne" + "\u0301" * 200) == " code · 1\n e" + "\u0301" * 8


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("[click](https://evil.test/a)", "click (https://evil.test/a)"),
        ("[https://good.test](https://evil.test)", "https://good.test (https://evil.test)"),
        ("[https://same.test](https://same.test)", "https://same.test"),
        ("<https://plain.test>", "https://plain.test"),
        ("www.plain.test", "www.plain.test"),
        ("![alt](https://x.test/i.png)", "alt (https://x.test/i.png)"),
        ("![](https://x.test/i.png)", "(https://x.test/i.png)"),
        ("[a **b**](x)", "a b (x)"),
        ("[a](https://a.example) [b](https://b.example)", "a (https://a.example) b (https://b.example)"),
        ("[https://b.test/@e.test](https://b.test%2F@e.test)", "https://b.test/@e.test (https://b.test%2F@e.test)"),
        ("<https://xn--80ak6aa92e.com/>", "https://аррӏе.com/ (https://xn--80ak6aa92e.com/)"),
    ],
)
def test_a_link_is_shown_with_its_true_target(source: str, expected: str) -> None:
    assert text_of(source, 90) == expected


@pytest.mark.parametrize("info", ["", "nonsense-language", "python title=x", "text", "🇩🇪"])
def test_a_fence_of_any_language_is_shown_as_it_stands(info: str) -> None:
    assert text_of(f"```{info}\nx = [1]\n```").splitlines()[1].strip() == "x = [1]"


def test_the_source_of_each_block_of_code_is_kept_with_its_tabs() -> None:
    view = shown(["```make\nall:\n\techo\n```\n\n- item\n  ```\n  a\n\n  b\n  ```\n\npara\n\n    indented\n\n    more\n\n"])

    assert view.document.codes == ["all:\n\techo", "a\n\nb", "indented\n\nmore"]


def test_a_table_is_as_wide_as_it_needs_and_never_wider_than_the_screen() -> None:
    source = "| name | what it is |\n|:--|--:|\n| a | a thing of many words, more than fit |\n| bb | 漢字 |"

    assert text_of(source, 24).splitlines() == [
        "name │        what it is",
        "─────┼──────────────────",
        "a    │   a thing of many",
        "     │  words, more than",
        "     │               fit",
        "bb   │              漢字",
    ]


@pytest.mark.parametrize(
    ("columns", "width", "pieces"), [(10, 36, ["LAS", "TCE", "LL"]), (18, 36, ["LA", "ST", "CE", "LL"])]
)
def test_a_table_of_many_columns_shows_the_last_one_too(columns: int, width: int, pieces: list[str]) -> None:
    rows = [["head"] * columns, ["-"] * columns, [*["cell"] * (columns - 1), "LASTCELL"]]

    shown_rows = text_of("\n".join(f"| {' | '.join(row)} |" for row in rows), width).splitlines()

    assert max(map(cell_len, shown_rows)) <= width
    assert [row[-len(piece) :] for row, piece in zip(shown_rows[-len(pieces) :], pieces, strict=True)] == pieces


def test_a_mark_that_may_still_become_anything_turns_no_paragraph_into_a_heading() -> None:
    view = Shown().write("These are:\n-")

    assert not [piece for row in view.rows() for piece in row.pieces if "h2" in piece.style]
    assert view.write(" one").text() == f"These are:\n\n• one{CURSOR}"
