"""Which error code stands for what an upstream says, and how long it asks to wait."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_service.providers.refusals import MAX_RETRY_AFTER_SECONDS, Refusal, retry_after_seconds
from sluice_wire.errors import ERRORS

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

CONTEXT, QUOTA, AUTH = "context_length_exceeded", "upstream_quota_exhausted", "upstream_auth_failed"
REJECTED, LIMITED, UNAVAILABLE = "upstream_rejected", "upstream_rate_limited", "upstream_unavailable"
OVERLOADED, FILTERED, INVALID = "upstream_overloaded", "content_filtered", "upstream_invalid_response"

STATUSES = {
    301: INVALID, 302: INVALID, 304: INVALID, 307: INVALID,
    400: REJECTED, 401: AUTH, 402: QUOTA, 403: AUTH, 404: REJECTED, 405: REJECTED, 407: AUTH, 408: UNAVAILABLE,
    409: REJECTED, 410: REJECTED, 413: CONTEXT, 415: REJECTED, 418: REJECTED, 422: REJECTED, 429: LIMITED,
    500: UNAVAILABLE, 501: UNAVAILABLE, 502: UNAVAILABLE, 503: OVERLOADED, 504: UNAVAILABLE, 520: UNAVAILABLE,
    529: OVERLOADED, 101: INVALID, 699: INVALID,
}  # fmt: skip


@pytest.mark.parametrize(("status", "code"), STATUSES.items())
@pytest.mark.parametrize("error", ["", "<html>Bad</html>", {"message": "It did not work."}, None, [], 7])
def test_a_status_alone_has_its_code(status: int, code: str, error: object) -> None:
    assert Refusal.from_error(error, status).code == code


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        # OpenAI
        (400, {"code": "context_length_exceeded", "message": "too long", "param": "messages"}, CONTEXT),
        (429, {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your quota"}, QUOTA),
        (429, {"type": "tokens", "code": "rate_limit_exceeded", "message": "Rate limit reached"}, LIMITED),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Incorrect API key"}, AUTH),
        (404, {"type": "invalid_request_error", "code": "model_not_found", "message": "no such model"}, REJECTED),
        (400, {"type": "invalid_request_error", "code": "billing_hard_limit_reached", "message": "limit"}, QUOTA),
        # Azure OpenAI
        (400, {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, FILTERED),
        (400, {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}, FILTERED),
        # OpenRouter
        (403, {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}, FILTERED),
        (403, {"code": 403, "message": "Key limit exceeded"}, AUTH),
        (402, {"code": 402, "message": "Insufficient credits"}, QUOTA),
        (400, {"code": 400, "message": "This endpoint's maximum context length is 4096 tokens. However, you"}, CONTEXT),
        (400, {"code": 400, "message": "Provider returned error",
               "metadata": {"raw": '{"message":"prompt is too long: 210000 tokens > 200000 maximum"}'}}, CONTEXT),
        # vLLM, whose older versions do not wrap the error
        (400, {"object": "error", "type": "BadRequestError", "code": 400,
               "message": "This model's maximum context length is 4096 tokens. However, you requested 5000."}, CONTEXT),
        (400, {"type": "BadRequestError", "code": 400,
               "message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."}, CONTEXT),
        # Gemini, which wraps it in a list
        (400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT",
                "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}],
         CONTEXT),
        (400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT",
                "message": "API key not valid. Please pass a valid API key."}}], AUTH),
        (400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "bad",
                "details": [{"reason": "API_KEY_INVALID"}, 7]}}], AUTH),
        (429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded for metric"}}], LIMITED),
        # Ollama and llama.cpp
        (500, {"message": "the input length exceeds the context length", "type": "api_error"}, CONTEXT),
        (400, "prompt too long; exceeded max context length by 12 tokens", CONTEXT),
        (400, {"code": 400, "type": "exceed_context_size_error", "message": "too big"}, CONTEXT),
        # Groq: the request is larger than a minute's allowance, so waiting does not help
        (413, {"code": "rate_limit_exceeded", "type": "tokens", "message": "Request too large for model"}, CONTEXT),
        # FastAPI servers
        (422, {"detail": "messages: maximum context length is 10"}, CONTEXT),
        (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, REJECTED),
        # The text of a context overflow counts only where it can be one.
        (429, {"message": "Rate limit reached; a smaller context window may help"}, LIMITED),
        (401, {"message": "context length"}, AUTH),
    ],
)  # fmt: skip
def test_what_a_known_server_says_decides_before_its_status(status: int, error: object, code: str) -> None:
    assert Refusal.from_error(error, status).code == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": 502, "message": "Upstream gone"}, UNAVAILABLE),
        ({"code": "429", "message": "Slow down"}, LIMITED),
        ({"code": 402}, QUOTA),
        ({"code": 401}, AUTH),
        ({"code": 400}, REJECTED),
        ({"code": 503, "status": "UNAVAILABLE"}, OVERLOADED),
        ({"code": "server_error", "message": "Provider disconnected"}, UNAVAILABLE),
        ({"code": "rate_limit_exceeded"}, LIMITED),
        ({"type": "overloaded_error", "message": "Overloaded"}, OVERLOADED),
        ({"type": "authentication_error"}, AUTH),
        ({"type": "invalid_request_error"}, REJECTED),
        ({"type": "insufficient_quota"}, QUOTA),
        ({"code": "content_filter"}, FILTERED),
        ({"message": "This model's maximum context length is 8 tokens."}, CONTEXT),
        ({"code": 200, "message": "fine?"}, UNAVAILABLE),
        ({"code": 1234567}, UNAVAILABLE),
        ({"code": True}, UNAVAILABLE),
        ({"error": {"code": 429}}, LIMITED),
        ("it broke", UNAVAILABLE),
        (True, UNAVAILABLE),
    ],
)
def test_an_error_event_without_a_status_is_told_by_its_own_number_or_name(error: object, code: str) -> None:
    assert Refusal.from_error(error).code == code


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda values: (
            st.lists(values, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "code", "type", "message", "metadata", "details", "raw"]), values)
        ),
        max_leaves=8,
    ),
    st.none() | st.integers(100, 999),
)
def test_property_any_error_object_has_a_code_from_the_list(error: object, status: int | None) -> None:
    assert Refusal.from_error(error, status).code in ERRORS


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 01 Mar 2026 13:00:30 +0100"}, 30),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 -0000"}, 30),
        ({"retry-after": "Sun, 01 Mar 2026 11:59:00 GMT"}, 0),
        ({"retry-after": "9999999999"}, MAX_RETRY_AFTER_SECONDS),
        ({"retry-after": "Sun, 01 Mar 9999 12:00:30 GMT"}, MAX_RETRY_AFTER_SECONDS),
    ],
)
def test_what_upstream_asks_to_wait_is_read_in_every_form(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_seconds(headers, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "soon", "-1", "nan", "inf", "Sun, 99 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:00 +99999999999999999"],
)
def test_a_wait_that_makes_no_sense_is_none(value: str) -> None:
    assert retry_after_seconds({"retry-after": value}, NOW) is None
