"""What is asked, put together from words, files and standard input."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_tui.prompt_parts import MAX_BYTES, PromptError, labelled, prompt


def test_words_files_and_standard_input_follow_each_other_each_told_apart(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.md"
    first.write_text("one\n")
    second.write_bytes(b"\xef\xbb\xbftwo")

    text = prompt(["look", "at"], [str(first), str(second)], io.BytesIO(b"three"))

    assert text == f"look at\n\nFile {first}:\n```\none\n```\n\nFile {second}:\n```\ntwo\n```\n\nthree"


@given(text=st.text(alphabet="`a\n", max_size=40))
def test_nothing_in_a_file_closes_its_fence(text: str) -> None:
    lines = labelled("x", text).splitlines()
    fence = lines[1]

    assert set(fence) == {"`"}
    assert [number for number, line in enumerate(lines) if fence in line] == [1, len(lines) - 1]


def test_a_name_cannot_break_out_of_its_line() -> None:
    assert labelled("a\nb\x1b[31m", "x").startswith("File a b␛[31m:\n")


@pytest.mark.parametrize(("data", "told"), [(b"a\0b", "holds NUL bytes"), (b"x" * (MAX_BYTES + 1), "8 MB at most")])
def test_what_is_no_prompt_is_refused(tmp_path: Path, data: bytes, told: str) -> None:
    file = tmp_path / "f"
    file.write_bytes(data)

    with pytest.raises(PromptError, match=told):
        prompt([], [str(file)], None)
    with pytest.raises(PromptError, match=told):
        prompt([], [], io.BytesIO(data))


def test_all_of_it_together_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x" * (MAX_BYTES - 1))

    with pytest.raises(PromptError, match="standard input"):
        prompt([], [str(file)], io.BytesIO(b"yy"))


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(PromptError, match=r"/nonexistent/x cannot be read: No such file or directory"):
        prompt([], ["/nonexistent/x"], None)


def test_of_nothing_there_is_nothing() -> None:
    assert prompt([], [], io.BytesIO(b" \n")) == ""
