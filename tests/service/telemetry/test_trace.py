import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_service.telemetry.trace import Trace, trace_from

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
STANDARD = f"00-{TRACE_ID}-{SPAN_ID}-01"
CLOUD_TRACE_ID = "105445aa7843bc8bf206b12000100000"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (STANDARD, True),
        (f"00-{TRACE_ID}-{SPAN_ID}-00", False),
        (f"00-{TRACE_ID}-{SPAN_ID}-03", True),
        (f"00-{TRACE_ID}-{SPAN_ID}-fe", False),
        (f" \t{STANDARD} ", True),
        (f"01-{TRACE_ID}-{SPAN_ID}-01", True),
        (f"cc-{TRACE_ID}-{SPAN_ID}-01-what-the-future-will-be-like", True),
        (f"fe-{TRACE_ID}-{SPAN_ID}-01-", True),
    ],
)
def test_traceparent_is_read_by_the_standard(header: str, sampled: bool) -> None:
    assert trace_from(header, None) == Trace(TRACE_ID, SPAN_ID, sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"0-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID[:-1]}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}0-01",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID}-{SPAN_ID}-01-extra",
        f"00-{TRACE_ID}-{SPAN_ID}-01-",
        f"cc-{TRACE_ID}-{SPAN_ID}-01.extra",
        f"cc-{TRACE_ID}-{SPAN_ID}-010",
        f"00_{TRACE_ID}_{SPAN_ID}_01",
        f"{STANDARD},{STANDARD}",
        f"{STANDARD}\n",
        f"00-{'٣' * 32}-{SPAN_ID}-01",
    ],
)
def test_malformed_traceparent_is_no_trace(header: str) -> None:
    assert trace_from(header, None) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"{CLOUD_TRACE_ID}/1;o=1", Trace(CLOUD_TRACE_ID, "0000000000000001", sampled=True)),
        (f"{CLOUD_TRACE_ID}/18446744073709551615;o=0", Trace(CLOUD_TRACE_ID, "f" * 16, sampled=False)),
        (f"{CLOUD_TRACE_ID}/255", Trace(CLOUD_TRACE_ID, "00000000000000ff", sampled=False)),
        (f"{CLOUD_TRACE_ID};o=1", Trace(CLOUD_TRACE_ID, "", sampled=True)),
        (CLOUD_TRACE_ID, Trace(CLOUD_TRACE_ID, "", sampled=False)),
        (f"{CLOUD_TRACE_ID.upper()}/0;o=1", Trace(CLOUD_TRACE_ID, "", sampled=True)),
    ],
)
def test_cloud_trace_context_is_read_with_its_decimal_span(header: str, expected: Trace) -> None:
    assert trace_from(None, header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "/1;o=1",
        f"{'0' * 32}/1;o=1",
        f"{CLOUD_TRACE_ID[:-1]}/1;o=1",
        f"{CLOUD_TRACE_ID}/18446744073709551616;o=1",
        f"{CLOUD_TRACE_ID}/-1;o=1",
        f"{CLOUD_TRACE_ID}/abc;o=1",
        f"{CLOUD_TRACE_ID}/1;o=yes",
        f"{CLOUD_TRACE_ID}/1;o=1;x",
        f"{CLOUD_TRACE_ID}/" + "9" * 5000,
        f'{CLOUD_TRACE_ID}/1;o=1"',
    ],
)
def test_malformed_cloud_trace_context_is_no_trace(header: str) -> None:
    assert trace_from(None, header) is None


def test_standard_header_wins_over_the_cloud_one() -> None:
    assert trace_from(STANDARD, f"{CLOUD_TRACE_ID}/1;o=1") == Trace(TRACE_ID, SPAN_ID, sampled=True)


def test_cloud_header_is_used_when_the_standard_one_is_malformed() -> None:
    assert trace_from("nonsense", f"{CLOUD_TRACE_ID}/1") == Trace(CLOUD_TRACE_ID, "0000000000000001", sampled=False)


@given(st.text(), st.text())
def test_no_header_ever_raises(traceparent: str, cloud: str) -> None:
    trace = trace_from(traceparent, cloud)
    assert trace is None or len(trace.trace_id) == 32
