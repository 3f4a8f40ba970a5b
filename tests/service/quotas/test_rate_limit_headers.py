"""OpenAI's headers about requests."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.quotas.base import Standing, rate_limit_headers

UNITS = {"h": 3600, "m": 60, "s": 1}


def reset_of(seconds: float) -> str:
    return rate_limit_headers(Standing(100, 57, seconds))["x-ratelimit-reset-requests"]


def test_headers_have_openais_names() -> None:
    assert rate_limit_headers(Standing(limit=100, remaining=57, reset_seconds=360)) == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "57",
        "x-ratelimit-reset-requests": "6m0s",
    }


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0s"),
        (0.01, "1s"),
        (1, "1s"),
        (59.2, "1m0s"),
        (61, "1m1s"),
        (3599.9, "1h0m0s"),
        (3600, "1h0m0s"),
        (7325, "2h2m5s"),
    ],
)
def test_time_is_in_openais_form(seconds: float, told: str) -> None:
    assert reset_of(seconds) == told


@settings(max_examples=200)
@given(st.floats(0, 1e6))
def test_time_reads_back_as_the_seconds_rounded_up(seconds: float) -> None:
    read = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", reset_of(seconds)))

    assert read == math.ceil(seconds)
