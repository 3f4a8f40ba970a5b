import json
import string
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_wire.errors import ERRORS, MAX_SHOWN_CHARACTERS, ErrorKind, ErrorReport, SluiceError

EVERY_KIND = pytest.mark.parametrize("kind", ERRORS.values(), ids=ERRORS)
ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
REPORT_FIELDS = st.sampled_from(["message", "type", "param", "code", "reason", "action", "retryable", "correlation_id"])


def names_in(kind: ErrorKind) -> set[str]:
    parts = (kind.what, kind.why, kind.action)
    return {name for part in parts for _, name, _, _ in string.Formatter().parse(part) if name}


def data_for(kind: ErrorKind, value: object) -> dict[str, Any]:
    return dict.fromkeys(names_in(kind) - {"param"}, value)


@EVERY_KIND
def test_every_code_has_three_parts_of_whole_sentences(kind: ErrorKind) -> None:
    for part in (kind.what, kind.why, kind.action):
        assert part
        assert part == part.strip()
        assert part.endswith((".", "{problem}"))


@EVERY_KIND
def test_every_code_has_a_status_that_fits_what_it_says(kind: ErrorKind) -> None:
    assert 400 <= kind.status < 600
    assert not (kind.retryable and kind.status in (400, 401, 403, 404, 405, 413, 415, 422))


def test_codes_are_listed_once_and_under_their_own_name() -> None:
    assert all(code == kind.code for code, kind in ERRORS.items())
    parts = Counter((kind.what, kind.why, kind.action) for kind in ERRORS.values())
    assert [part for part, times in parts.items() if times > 1] == []


@EVERY_KIND
def test_every_name_in_the_parts_is_filled(kind: ErrorKind) -> None:
    report = SluiceError(kind.code, param="messages", **data_for(kind, "filled")).report()
    told = f"{report.what} {report.why} {report.action}"
    assert "unknown)" not in told
    assert all(f"{{{name}}}" not in told for name in names_in(kind))


@EVERY_KIND
def test_missing_data_never_hides_an_error(kind: ErrorKind) -> None:
    report = SluiceError(kind.code).report("c1")
    assert report.code == kind.code
    assert report.correlation_id == "c1"
    assert "None" not in f"{report.what} {report.why}"


@EVERY_KIND
def test_report_comes_back_whole_from_its_own_json(kind: ErrorKind) -> None:
    report = SluiceError(kind.code, param="messages.0.role", **data_for(kind, "x")).report("c1")
    assert ErrorReport.from_openai(json.loads(json.dumps(report.to_openai()))) == report


@given(st.sampled_from(list(ERRORS.values())), ANY_TEXT.map(lambda text: text * 3), ANY_TEXT)
def test_hostile_data_is_shown_inert_and_short(kind: ErrorKind, hostile: str, param: str) -> None:
    report = SluiceError(kind.code, param=param, **data_for(kind, hostile)).report()
    for part in (report.what, report.why, report.action, report.param or ""):
        assert part.isprintable()
        assert len(part) < 400 + 10 * MAX_SHOWN_CHARACTERS
    assert ErrorReport.from_openai(report.to_openai()) == report


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[31m", "\u202egnp.exe", "\x9b2J", "\u2028", "\ud800", "a\0"])
def test_control_characters_become_escapes(hostile: str) -> None:
    assert ascii(hostile) in SluiceError("model_not_found", model=hostile).report().what


def test_braces_in_data_are_only_text() -> None:
    assert "{param.__class__}" in SluiceError("model_not_found", model="{param.__class__}").report().what


def test_long_data_is_cut() -> None:
    what = SluiceError("model_not_found", model="x" * 10_000).report().what
    assert "x" * MAX_SHOWN_CHARACTERS + "…" in what
    assert "x" * (MAX_SHOWN_CHARACTERS + 1) not in what


def test_data_that_is_not_text_is_cut_and_escaped_too() -> None:
    what = SluiceError("model_not_found", model=["\x1b" * 10_000]).report().what
    assert what.isprintable()
    assert len(what) < 1_000


@pytest.mark.parametrize(("seconds", "shown"), [(30.0, "30 s"), (0.5, "0.5 s"), (180, "180 s")])
def test_seconds_are_told_as_people_write_them(seconds: float, shown: str) -> None:
    assert f"within {shown}" in SluiceError("first_token_timeout", seconds=seconds).report().what


def test_the_text_of_the_exception_is_its_code_alone() -> None:
    assert str(SluiceError("invalid_request", problem="secret")) == "invalid_request"


@given(JSON | st.fixed_dictionaries({"error": JSON | st.dictionaries(REPORT_FIELDS, JSON)}))
def test_any_json_is_a_report_or_none(body: object) -> None:
    report = ErrorReport.from_openai(body)
    assert report is None or (isinstance(report.code, str) and report.code and isinstance(report.what, str))


def test_report_of_another_server_has_its_own_words_and_no_more() -> None:
    body = {"error": {"message": "No such model", "type": "invalid_request_error", "param": None, "code": None}}
    assert ErrorReport.from_openai(body) == ErrorReport(
        code="invalid_request_error", what="No such model", why="", action="", type="invalid_request_error"
    )
