"""Cursors: what was given out is understood, and nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_service.stores import pages
from sluice_wire.errors import SluiceError
from tests.support.messages import PROPERTY, texts

positions = st.lists(st.floats(allow_nan=False) | st.integers() | texts, max_size=3)
scopes = st.lists(texts, max_size=3)


@PROPERTY
@given(positions, scopes)
def test_cursor_leads_back_to_its_position(position: list[object], scope: list[str]) -> None:
    cursor = pages.encode(position, *scope)

    assert pages.decode(cursor, [], *scope) == position
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?# ")


@PROPERTY
@given(positions, scopes, scopes)
def test_cursor_of_another_list_is_refused(position: list[object], scope: list[str], other: list[str]) -> None:
    cursor = pages.encode(position, *scope)

    if scope != other:
        with pytest.raises(SluiceError, match="invalid_request"):
            pages.decode(cursor, [], *other)


@PROPERTY
@given(positions, st.data())
def test_cursor_with_any_byte_changed_is_refused(position: list[object], data: st.DataObject) -> None:
    cursor = pages.encode(position, "list")
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(SluiceError, match="invalid_request"):
        pages.decode(base64.urlsafe_b64encode(raw).decode().rstrip("="), [], "list")


@PROPERTY
@given(st.text() | texts)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(SluiceError, match="invalid_request"):
        pages.decode(text, [], "list")


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 6), st.integers(0, 30))
def test_page_is_the_longest_that_fits_and_never_empty(sizes: list[int], limit: int, max_size: int) -> None:
    page, more = pages.taken(sizes, limit, max_size, lambda size: size)

    assert page == sizes[: len(page)]
    assert more == (len(page) < len(sizes))
    assert len(page) <= limit
    assert len(page) <= 1 or sum(page) <= max_size
    if more:
        assert len(page) == limit or sum(sizes[: len(page) + 1]) > max_size
    assert page or not sizes
