"""The one list of error codes, and the two shapes in which an error travels.

    SluiceError         raised in the service; carries a code and data, no text
    └─ ErrorReport      what a person or a program is told; made where it is told, and read back by the terminal

Every code has an HTTP status, says whether trying again can help, and has three parts: what happened, why, what to do.
`{names}` in the parts are filled from the error's data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_SHOWN_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the list. `type` is OpenAI's coarse class (API reference, "Errors")."""

    code: str
    status: int
    retryable: bool
    type: str
    what: str
    why: str
    action: str


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An error as it is told: text in three parts, never anything that an upstream said."""

    code: str
    what: str
    why: str
    action: str
    type: str = "api_error"
    param: str | None = None
    retryable: bool = False
    correlation_id: str = ""
    resumable: bool | None = None
    """Whether the stream can still be continued with its id and a cursor; None where there is no question of it."""

    def to_openai(self) -> dict[str, Any]:
        """OpenAI's error object, with Sluice's additions: `{"error": {"message", "type", "param", "code", …}}`."""
        error = {
            "message": self.what,
            "type": self.type,
            "param": self.param,
            "code": self.code,
            "reason": self.why,
            "action": self.action,
            "retryable": self.retryable,
            "correlation_id": self.correlation_id,
        }
        return {"error": error if self.resumable is None else {**error, "resumable": self.resumable}}

    @classmethod
    def from_openai(cls, body: object) -> "ErrorReport | None":
        """The report in an OpenAI-shaped error body, Sluice's or another server's; None when it is no such body."""
        error = body.get("error") if isinstance(body, dict) else None
        if not isinstance(error, dict):
            return None

        def text(key: str, default: str = "") -> str:
            value = error.get(key)
            return value if isinstance(value, str) else default

        return cls(
            code=text("code") or text("type") or "unknown",
            what=text("message", "The server reported an error."),
            why=text("reason"),
            action=text("action"),
            type=text("type", "api_error"),
            param=text("param") or None,
            retryable=error.get("retryable") is True,
            correlation_id=text("correlation_id"),
            resumable=resumable if isinstance(resumable := error.get("resumable"), bool) else None,
        )


class SluiceError(Exception):
    """An error with a code from the list. `data` fills the names in its parts; `str()` is for logs.

    `retry_after_seconds` is what upstream or we ask the caller to wait; `param` names the offending field of the request.
    """

    def __init__(
        self,
        code: str,
        *,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        resumable: bool | None = None,
        **data: object,
    ) -> None:
        super().__init__(code)
        self.kind = ERRORS[code]
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self.resumable = resumable
        self.data: Mapping[str, object] = data

    @property
    def code(self) -> str:
        """The code, as in the list."""
        return self.kind.code

    def report(self, correlation_id: str = "") -> ErrorReport:
        """The error with its parts filled in."""
        shown = _Shown({"param": self.param or "the request", **self.data})
        return ErrorReport(
            code=self.kind.code,
            what=self.kind.what.format_map(shown),
            why=self.kind.why.format_map(shown),
            action=self.kind.action.format_map(shown),
            type=self.kind.type,
            param=_shown(self.param) if self.param else None,
            retryable=self.kind.retryable,
            correlation_id=correlation_id,
            resumable=self.resumable,
        )


class _Shown(dict[str, object]):
    """Data as it may be shown, by name."""

    def __missing__(self, key: str) -> str:
        return f"({key} unknown)"

    def __getitem__(self, key: str) -> object:
        value = super().__getitem__(key)
        if isinstance(value, float):
            return f"{value:g}"
        return value if isinstance(value, int) else _shown(str(value))


def _shown(text: str) -> str:
    """Text from outside: cut, and escaped where it holds anything that a terminal or a log could trip over."""
    cut = text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…"
    return cut if cut.isprintable() else ascii(cut)


_REQUEST, _AUTH, _PERMISSION, _NOT_FOUND = (
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
)
_RATE, _UPSTREAM, _TIMEOUT, _SERVER = "rate_limit_error", "upstream_error", "timeout_error", "server_error"

_KINDS = (
    ErrorKind(
        "missing_credentials", 401, False, _AUTH,
        "No API key was sent.",
        "Every call but /health and /openapi.json needs one, as `Authorization: Bearer <key>`.",
        "Send your key in the Authorization header. Whoever runs this service can make one: see \"Keys\" in the README.",
    ),
    ErrorKind(
        "invalid_credentials", 401, False, _AUTH,
        "The API key is not valid here.",
        "It is none that this service knows; or, in an address, the ticket is spent, expired or for another route.",
        "Check the key for missing characters, or ask for a new one; a new ticket comes from POST /v1/tickets.",
    ),
    ErrorKind(
        "permission_denied", 403, False, _PERMISSION,
        "This key may not use the agent {model}.",
        "The key is restricted to certain agents.",
        "Use one of the agents that GET /v1/models lists for this key, or ask for access.",
    ),
    ErrorKind(
        "invalid_request", 400, False, _REQUEST,
        "The request is not valid: {problem}",
        "What was sent as {param} does not have the form that this route accepts.",
        "Correct it and send the request again.",
    ),
    ErrorKind(
        "request_too_large", 413, False, _REQUEST,
        "The request body is larger than {limit_bytes} bytes.",
        "The service bounds what it reads, so that one request cannot fill its memory.",
        "Send a shorter conversation, or raise MAX_BODY_BYTES.",
    ),
    ErrorKind(
        "unsupported_media_type", 415, False, _REQUEST,
        "The body is {content_type}, not JSON.",
        "This route reads application/json alone.",
        "Send the header `Content-Type: application/json`.",
    ),
    ErrorKind(
        "request_timeout", 408, True, _REQUEST,
        "The request body did not arrive within {seconds} s.",
        "The connection is too slow, or the announced length is longer than what was sent.",
        "Send the request again.",
    ),
    ErrorKind(
        "context_length_exceeded", 400, False, _REQUEST,
        "The conversation is longer than the model can read.",
        "The model counted more tokens than its context holds.",
        "Start a new conversation, or leave out older messages.",
    ),
    ErrorKind(
        "cancelled", 499, False, _REQUEST,
        "The answer was cancelled.",
        "Whoever asked for it stopped it, or nobody was reading it any more.",
        "Ask again when you want the whole answer.",
    ),
    ErrorKind(
        "model_not_found", 404, False, _NOT_FOUND,
        "There is no agent named {model}.",
        "`model` is the id of one of this service's agents.",
        "GET /v1/models lists the agents that your key may use.",
    ),
    ErrorKind(
        "not_found", 404, False, _NOT_FOUND,
        "There is nothing at {path}.",
        "No route has that address, or what it names has expired, never existed or belongs to another key.",
        "Check the address and the id in it. OpenAI clients want a base URL that ends in /v1.",
    ),
    ErrorKind(
        "method_not_allowed", 405, False, _REQUEST,
        "{method} is not possible at {path}.",
        "The address exists, for other methods.",
        "The Allow header of this response lists them.",
    ),
    ErrorKind(
        "idempotency_mismatch", 422, False, _REQUEST,
        "This Idempotency-Key was used for another request.",
        "A key stands for one request; the body that came with it first was a different one.",
        "Use a new key for a new request.",
    ),
    ErrorKind(
        "rate_limited", 429, True, _RATE,
        "You have sent {limit} messages within the last hour.",
        "Each user may send that many an hour; a message counts until an hour has passed since it was sent.",
        "Send it again after the time in Retry-After, or ask whoever runs this service for a higher limit.",
    ),
    ErrorKind(
        "too_many_streams", 429, True, _RATE,
        "You have {limit} answers running already.",
        "Each user may have that many at the same time, on all connections together.",
        "Wait until one of them ends, or cancel one, then send the request again.",
    ),
    ErrorKind(
        "streaming_disabled", 400, False, _REQUEST,
        "Streaming is switched off here.",
        "Whoever runs this service has set ENABLE_STREAMING to false.",
        "Send the request with `stream` false: the whole answer then comes at once.",
    ),
    ErrorKind(
        "upstream_rate_limited", 429, True, _RATE,
        "The model's provider is limiting requests.",
        "Its rate limit for this service is used up for the moment.",
        "Wait a little (Retry-After says how long, where the provider did) and send the request again.",
    ),
    ErrorKind(
        "upstream_quota_exhausted", 502, False, _UPSTREAM,
        "The model's provider says that its quota is used up.",
        "The account behind this service has no credit or quota left.",
        "Whoever runs this service has to add credit or raise the quota; trying again does not help.",
    ),
    ErrorKind(
        "upstream_auth_failed", 502, False, _UPSTREAM,
        "The model's provider does not accept this service's own credentials.",
        "The key that this service holds for the provider is wrong, expired or lacks a permission. Yours is fine.",
        "Whoever runs this service has to replace the provider's key.",
    ),
    ErrorKind(
        "upstream_rejected", 400, False, _REQUEST,
        "The model's provider does not accept this request.",
        "A message, a parameter or the model's name is not valid for it; the service's log has its answer.",
        "Check the messages and parameters, or use another agent.",
    ),
    ErrorKind(
        "upstream_unavailable", 502, True, _UPSTREAM,
        "The model's provider cannot be reached or failed.",
        "The connection was refused or lost, or it answered with a server error.",
        "Send the request again in a moment.",
    ),
    ErrorKind(
        "upstream_overloaded", 503, True, _UPSTREAM,
        "The model's provider is overloaded.",
        "It refused the request for lack of capacity.",
        "Send the request again in a moment.",
    ),
    ErrorKind(
        "upstream_invalid_response", 502, True, _UPSTREAM,
        "The model's provider sent something that is not a valid answer.",
        "Its stream was not the JSON events that the API promises; the service's log has the details.",
        "Send the request again; if it stays so, the provider's address may be wrong.",
    ),
    ErrorKind(
        "first_token_timeout", 504, True, _TIMEOUT,
        "The model did not begin to answer within {seconds} s.",
        "The provider accepted the request, or tried to, and then stayed silent.",
        "Send the request again. For models that think long, raise first_token_timeout_seconds of the agent.",
    ),
    ErrorKind(
        "idle_timeout", 504, True, _TIMEOUT,
        "The model fell silent for {seconds} s in the middle of its answer.",
        "The provider kept the connection open and sent nothing.",
        "Send the request again; what was received so far is not the whole answer.",
    ),
    ErrorKind(
        "total_timeout", 504, False, _TIMEOUT,
        "The answer took longer than {seconds} s in all.",
        "The service bounds every answer's time.",
        "Ask for a shorter answer, or raise TIMEOUT_SECONDS.",
    ),
    ErrorKind(
        "upstream_truncated", 502, True, _UPSTREAM,
        "The answer broke off.",
        "The provider closed the stream without saying that the answer was finished.",
        "Send the request again; what was received so far is not the whole answer.",
    ),
    ErrorKind(
        "content_filtered", 400, False, _REQUEST,
        "The model's provider refused the content of this request.",
        "Its content filter rejected a message.",
        "Rephrase the message.",
    ),
    ErrorKind(
        "output_too_large", 502, False, _UPSTREAM,
        "The answer is larger than {limit_bytes} bytes.",
        "The service bounds every answer, so that one stream cannot fill its memory.",
        "Ask for a shorter answer, or raise MAX_STREAM_BYTES.",
    ),
    ErrorKind(
        "producer_lost", 502, True, _SERVER,
        "The instance that produced this answer is gone.",
        "It stopped without being able to finish; what was received so far is not the whole answer.",
        "Send the request again, with the same Idempotency-Key if it had one.",
    ),
    ErrorKind(
        "storage_unavailable", 503, True, _SERVER,
        "The store of this service cannot be reached.",
        "It is locked, overloaded or out of reach; nothing was changed that you were not told of.",
        "Send the request again in a moment.",
    ),
    ErrorKind(
        "server_draining", 503, True, _SERVER,
        "This instance of the service is shutting down.",
        "It is being replaced or is no longer needed; that happens at every deployment.",
        "Send the request again: another instance answers. Where `resumable` is true, what there is can still be read.",
    ),
    ErrorKind(
        "over_capacity", 503, True, _SERVER,
        "The service is at its capacity.",
        "It is serving as many requests, or holding as much text, as it is set up for.",
        "Send the request again after the time in Retry-After.",
    ),
    ErrorKind(
        "internal_error", 500, False, _SERVER,
        "Something went wrong inside the service.",
        "This is a fault in Sluice; its log has the details under the correlation id.",
        "Report it with the correlation id.",
    ),
)  # fmt: skip

ERRORS: Mapping[str, ErrorKind] = {kind.code: kind for kind in _KINDS}
"""Every error code there is, in the order in which a request can meet them."""
