"""The table of routes that /openapi.json is made of: what each takes, what it answers, and with which errors it refuses."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from sluice_service.web import replies, requests

EVERYWHERE = ("over_capacity", "server_draining", "internal_error")
KEYED = ("missing_credentials", "invalid_credentials")
BODY = ("invalid_request", "request_too_large", "unsupported_media_type", "request_timeout")
STORED = ("not_found", "storage_unavailable")
AGENT = ("model_not_found", "permission_denied")
TURN = (
    *BODY,
    *STORED,
    "permission_denied",
    "streaming_disabled",
    "idempotency_mismatch",
    "rate_limited",
    "too_many_streams",
    "context_length_exceeded",
    "content_filtered",
    "upstream_rejected",
    "upstream_rate_limited",
    "upstream_quota_exhausted",
    "upstream_auth_failed",
    "upstream_unavailable",
    "upstream_overloaded",
    "upstream_invalid_response",
    "upstream_truncated",
    "output_too_large",
    "producer_lost",
    "first_token_timeout",
    "idle_timeout",
    "total_timeout",
)

CONVERSATION = "/v1/conversations/{conversation_id}"
ONBOARDING = "/v1/onboarding/{agent_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address. `errors` are those besides `EVERYWHERE` and what `security` can refuse with.

    `streams`: the answer is, or can be, Server-Sent Events. `empty`: there is a 204. `limited`: the answer says where the
    caller stands with the limits. `headers` are the request's.
    """

    method: str = "get"
    path: str
    id: str
    summary: str
    security: str | None = "key"
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    status: int = 200
    streams: bool = False
    empty: bool = False
    limited: bool = False
    simple_errors: bool = False
    headers: Sequence[str] = ()
    errors: Sequence[str] = ()

    @property
    def codes(self) -> Sequence[str]:
        """Every error code that it can refuse with."""
        refusals = {None: (), "key": KEYED, "ticket": KEYED}[self.security]
        return (*EVERYWHERE, *refusals, *self.errors)


OPERATIONS = (
    Operation(path="/health", id="health", summary="That the service answers", security=None, reply=replies.Health),
    Operation(path="/v1/models", id="models", summary="The agents that the key may use", reply=replies.ModelList),
    Operation(path="/v1/models/{agent_id}", id="model", summary="One agent", reply=replies.Model, errors=AGENT),
    Operation(
        method="post",
        path="/v1/chat/completions",
        id="completions",
        summary="OpenAI's chat completion, streamed or whole",
        body=requests.CompletionRequest,
        reply=replies.CompletionReply,
        streams=True,
        limited=True,
        headers=("Idempotency-Key",),
        errors=(*TURN, "model_not_found"),
    ),
    Operation(
        path="/v1/streams/{stream_id}",
        id="stream",
        summary="Continue a stream after the last frame that was received",
        query=requests.CursorQuery,
        streams=True,
        empty=True,
        headers=("Last-Event-ID",),
        errors=(*STORED, "invalid_request"),
    ),
    Operation(
        method="post",
        path="/v1/streams/{stream_id}/cancel",
        id="cancel",
        summary="End a stream now",
        reply=replies.StreamReply,
        errors=STORED,
    ),
    Operation(
        method="post",
        path="/v1/tickets",
        id="tickets",
        summary="What a browser opens an EventSource with",
        body=requests.TicketRequest,
        reply=replies.TicketReply,
        limited=True,
        errors=(*BODY, "rate_limited", "too_many_streams"),
    ),
    Operation(
        path="/v1/conversations",
        id="conversations",
        summary="The caller's conversations, last updated first",
        query=requests.PageQuery,
        reply=replies.ConversationPage,
        errors=("invalid_request", "storage_unavailable"),
    ),
    Operation(
        path=CONVERSATION,
        id="conversation",
        summary="One conversation with a page of its messages, oldest first",
        query=requests.PageQuery,
        reply=replies.ConversationWithMessages,
        errors=(*STORED, "invalid_request"),
    ),
    Operation(
        method="patch",
        path=CONVERSATION,
        id="rename",
        summary="Give a conversation another title",
        body=requests.RenameRequest,
        reply=replies.ConversationReply,
        errors=(*BODY, *STORED),
    ),
    Operation(
        method="delete",
        path=CONVERSATION,
        id="delete",
        summary="Remove a conversation with all its messages",
        empty=True,
        errors=STORED,
    ),
    Operation(
        method="post",
        path=f"{CONVERSATION}/fork",
        id="fork",
        summary="A new conversation with the messages up to and including one",
        body=requests.ForkRequest,
        reply=replies.ConversationReply,
        status=201,
        errors=(*BODY, *STORED),
    ),
    Operation(
        path=ONBOARDING,
        id="onboarding",
        summary="Where the caller stands with an agent's questions",
        reply=replies.OnboardingReply,
        errors=(*AGENT, "storage_unavailable"),
    ),
    Operation(
        method="delete",
        path=ONBOARDING,
        id="start_again",
        summary="Forget the answers to an agent's questions",
        empty=True,
        errors=(*AGENT, "storage_unavailable"),
    ),
    Operation(
        method="post",
        path="/chat",
        id="chat",
        summary="One message in, numbered frames or one object out; the history is kept here",
        body=requests.ChatRequest,
        reply=replies.ChatReply,
        streams=True,
        limited=True,
        simple_errors=True,
        headers=("Idempotency-Key",),
        errors=TURN,
    ),
    Operation(
        path="/chat/stream",
        id="chat_stream",
        summary="The same for a browser's EventSource; what fails after the ticket was accepted is an event",
        security="ticket",
        query=requests.EventQuery,
        streams=True,
        empty=True,
        simple_errors=True,
        headers=("Last-Event-ID",),
    ),
    Operation(
        path="/chat/onboarding-stream",
        id="onboarding_stream",
        summary="The guided first conversation, for a browser's EventSource",
        security="ticket",
        query=requests.EventQuery,
        streams=True,
        empty=True,
        simple_errors=True,
        headers=("Last-Event-ID",),
    ),
)
