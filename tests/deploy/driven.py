"""Requests to a function that runs as on Cloud Run: a way to each of its errors, and whatever could forge its log."""

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.support.raw_request import connected, read_until, request_bytes
from tests.support.running_function import RunningFunction, key_entry
from tests.support.scripted_upstream import (
    CLOSE,
    HANG,
    RESET,
    STREAM_HEAD,
    Script,
    ScriptedUpstream,
    answer,
    chunk,
    response,
)

PATH = "/v1/chat/completions"
TRACE_ID, SPAN_ID = "ab" * 16, "cd" * 8
W3C = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
GOOGLE = {"X-Cloud-Trace-Context": f"{TRACE_ID}/{int(SPAN_ID, 16)};o=1"}
UPSTREAM_KEY = "upstream/key+0123456789=abc"
ASKED, SAID = "what-was-asked-of-the-model", "what-the-model-has-said"
KEYS = {name: f"the-key-of-{name}-0123456789" for name in ("bob", "carol", "dave", "erin")}
HALF: Script = [*answer(SAID)[:3], HANG]
"""Upstream says something and then nothing more."""

FORGED = '\r\n{"severity": "CRITICAL", "message": "forged"}\r\n\x1b[2J\x1b]0;forged\x07\u2028\u202e\x85\x9b31m'
"""What would forge an entry, or steer the terminal of whoever reads the log."""
ENTRIES = [
    key_entry(KEYS["bob"], "bob", agents=["other"]),
    key_entry(KEYS["carol"], "carol", limits={"streams": 1}),
    key_entry(KEYS["dave"], "dave", limits={"messages_per_hour": 1}),
]


def environment(upstream: ScriptedUpstream, folder: Path) -> dict[str, str]:
    """As on Cloud Run, with clocks and bounds that are soon reached, but not by a machine that is busy."""
    (folder / "keys.json").write_text(json.dumps(ENTRIES))
    return {
        "K_SERVICE": "sluice",
        "GOOGLE_CLOUD_PROJECT": "a-project",
        "LOG_LEVEL": "DEBUG",
        "API_KEYS_FILE": str(folder / "keys.json"),
        "OPENAI_API_KEY": UPSTREAM_KEY,
        "OPENAI_BASE_URL": upstream.url,
        "CONVERSATIONS": f"sqlite:///{folder / 'conversations.db'}",
        "FIRST_TOKEN_TIMEOUT_SECONDS": "4",
        "IDLE_TIMEOUT_SECONDS": "4",
        "TIMEOUT_SECONDS": "8",
        "RESUME_GRACE_SECONDS": "0",
        "MAX_BODY_BYTES": "4096",
        "MAX_STREAM_BYTES": "4096",
    }


@dataclass
class Driver:
    """Sends requests, all with the same trace header; tells upstream what to do with each."""

    function: RunningFunction
    upstream: ScriptedUpstream
    client: httpx.Client
    folder: Path
    trace: Mapping[str, str]
    scripts: dict[str, Script] = field(default_factory=dict)

    def __post_init__(self) -> None:
        before = self.upstream.script
        # Drivers share an upstream: what one does not know another does.
        self.upstream.script = lambda body: self._script(body) or (before(body) if callable(before) else before)

    def _script(self, body: Any) -> Script:
        return self.scripts.get(body["messages"][-1]["content"], ())

    def ask(self, script: Script = (), headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        """A whole request for a streamed answer, upstream doing as the script says."""
        return self.client.post(PATH, json={**self._question(script), **body}, headers=self._headers(headers))

    def call(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        """Any request."""
        return self.client.request(method, path, headers=self._headers(headers), **more)

    @contextmanager
    def open_stream(
        self, headers: Mapping[str, str] | None = None, script: Script = HALF, **body: Any
    ) -> Iterator[httpx.Response]:
        """A stream whose model has said something, and then is silent when nothing else is told; headers only."""
        whole = {**self._question(script), **body}
        with self.client.stream("POST", PATH, json=whole, headers=self._headers(headers)) as reply:
            yield reply

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        # A connection each: one that is kept may be closed by the server just when it is used again.
        return {**self.trace, "connection": "close", **(more or {})}

    def _question(self, script: Script) -> dict[str, Any]:
        """Each its own, by which upstream knows what to do: many are under way at once."""
        words = f"{ASKED} {uuid.uuid4()}"
        self.scripts[words] = script
        return {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": words}]}

    @contextmanager
    def locked_store(self) -> Iterator[None]:
        """While nobody can write into the conversations."""
        with sqlite3.connect(self.folder / "conversations.db", isolation_level=None) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
        connection.close()


Way = Callable[[Driver], list[httpx.Response]]
"""Comes to an error, and gives the responses that tell it."""


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


def refusal(status: str, code: str = "", message: str = "no") -> Script:
    return response(status, json.dumps({"error": {"code": code, "message": message}}).encode())


def by_upstream(script: Script) -> Way:
    """Streamed and plain, both with the same error."""
    return lambda driver: [driver.ask(script), driver.ask(script, stream=False)]


def slow_body(driver: Driver) -> list[httpx.Response]:
    """`request_timeout`: the end of the body never comes. It takes 20 s."""
    head = request_bytes(driver.function, ASKED, {**driver.trace})
    with connected(driver.function) as connection:
        connection.settimeout(40)
        connection.sendall(head[:-5])
        return [parsed(read_until(connection, b"}}"))]


def parsed(raw: bytes) -> httpx.Response:
    """A response that was read by hand."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return httpx.Response(int(lines[0].split()[1]), headers=headers, content=body)


def _cancelled(driver: Driver) -> list[httpx.Response]:
    with driver.open_stream() as reply:
        driver.call("POST", f"/v1/streams/{reply.headers['x-stream-id']}/cancel")
        reply.read()
    return [reply]


def _too_many(driver: Driver) -> list[httpx.Response]:
    with driver.open_stream(bearer("carol")) as running:
        refused = driver.ask(headers=bearer("carol"))
        driver.call("POST", f"/v1/streams/{running.headers['x-stream-id']}/cancel", bearer("carol"))
        running.read()
    return [refused]


def _mismatch(driver: Driver) -> list[httpx.Response]:
    key = {"Idempotency-Key": f"{time.monotonic()}"}
    driver.ask(answer(SAID), key)
    return [driver.ask(answer(SAID), key, temperature=0.5)]


def _over_limit(driver: Driver) -> list[httpx.Response]:
    driver.ask(answer(SAID), bearer("dave"))
    return [driver.ask(headers=bearer("dave"))]


def _locked(driver: Driver) -> list[httpx.Response]:
    with driver.locked_store():
        return [driver.ask(store=True, metadata={"conversation_id": "kept"})]


def spoilt_store(driver: Driver) -> list[httpx.Response]:
    """`internal_error`: what is stored is not what was written. Nothing else that comes from outside leads to a fault."""
    driver.ask(answer(SAID), store=True, metadata={"conversation_id": "spoilt"})
    with sqlite3.connect(driver.folder / "conversations.db") as connection:
        connection.execute("UPDATE messages SET usage = '{nope' WHERE conversation = 'spoilt'")
    connection.close()
    return [driver.call("GET", "/v1/conversations/spoilt")]


WAYS: dict[str, Way] = {
    "missing_credentials": lambda driver: [driver.call("GET", "/v1/models", {"Authorization": ""})],
    "invalid_credentials": lambda driver: [driver.call("GET", "/v1/models", {"Authorization": "Bearer another-key-0123"})],
    "permission_denied": lambda driver: [driver.ask(headers=bearer("bob"))],
    "invalid_request": lambda driver: [driver.ask(messages=[]), driver.call("POST", "/chat", json={"message": 1})],
    "request_too_large": lambda driver: [driver.ask(messages=[{"role": "user", "content": ASKED * 300}])],
    "unsupported_media_type": lambda driver: [driver.call("POST", PATH, {"content-type": "text/plain"}, content=ASKED)],
    "context_length_exceeded": by_upstream(refusal("400 No", "context_length_exceeded")),
    "cancelled": _cancelled,
    "model_not_found": lambda driver: [driver.ask(model="nobody")],
    "not_found": lambda driver: [driver.call("GET", "/v1/streams/none"), driver.call("GET", "/nowhere")],
    "method_not_allowed": lambda driver: [driver.call("PUT", "/v1/models")],
    "idempotency_mismatch": _mismatch,
    "rate_limited": _over_limit,
    "too_many_streams": _too_many,
    "upstream_rate_limited": by_upstream(refusal("429 No")),
    "upstream_quota_exhausted": by_upstream(refusal("429 No", "insufficient_quota")),
    "upstream_auth_failed": by_upstream(refusal("401 No", message=UPSTREAM_KEY)),
    "upstream_rejected": by_upstream(refusal("400 No")),
    "upstream_unavailable": by_upstream(refusal("500 No")),
    "upstream_overloaded": by_upstream(refusal("503 No")),
    "upstream_invalid_response": lambda driver: [
        driver.ask(response("200 OK", b"<p>hello", content_type="text/html")),
        driver.ask([*answer(SAID)[:3], f'data: {{"choices": [{{"delta": {{"content": "{SAID}\n\n'.encode(), CLOSE]),
    ],
    "first_token_timeout": by_upstream([STREAM_HEAD, HANG]),
    "idle_timeout": by_upstream([*answer(SAID)[:3], HANG]),
    "total_timeout": by_upstream([STREAM_HEAD, *[step for _ in range(20) for step in (chunk(SAID), 0.5)], CLOSE]),
    "upstream_truncated": by_upstream([*answer(SAID)[:3], 0.05, RESET]),
    "content_filtered": by_upstream(refusal("400 No", "content_filter")),
    "output_too_large": by_upstream([STREAM_HEAD, *[chunk(SAID * 10) for _ in range(30)], HANG]),
    "storage_unavailable": _locked,
    "request_timeout": slow_body,
}
"""How to come to each error that a function can have by itself, but for `spoilt_store`, which one of them locks."""


def forge(driver: Driver) -> list[httpx.Response]:
    """Requests with line ends and escape codes wherever a caller may write; the replies of those that got one."""
    replies = [
        driver.ask((), None, **{field: FORGED})
        for field in ("model", "messages", "stream", "n", "temperature", "user", "metadata", "stream_options", FORGED)
    ]
    replies += [driver.ask(messages=[{"role": "user", "content": FORGED, FORGED: FORGED}])]
    replies += [driver.ask(answer(SAID), store=True, metadata={"conversation_id": FORGED})]
    replies += [driver.call("POST", path, json={FORGED: FORGED, "message": FORGED}) for path in ("/chat", "/v1/tickets")]
    hidden = quote(FORGED)
    replies += [driver.call("GET", f"{path}{hidden}") for path in ("/", "/v1/models/", "/v1/streams/", "/v1/conversations/")]
    replies += [driver.call("GET", f"/chat/stream?message={hidden}&token={hidden}")]
    replies += [driver.call("GET", f"/v1/streams/x?starting_after={hidden}")]
    # gunicorn refuses the rest before we see it.
    raw = "".join(character for character in FORGED if character >= " ").encode()
    named = ("user-agent", "x-correlation-id", "x-request-id", "traceparent", "x-cloud-trace-context", "last-event-id")
    for name in (*named, "idempotency-key", "content-type", "authorization", "origin", "accept", "cookie"):
        # By hand: no client sends such headers.
        with connected(driver.function) as connection:
            head = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{name}: ".encode()
            connection.sendall(head + raw + b"\r\n\r\n")
            received = read_until(connection, b"\r\n\r\n")
        replies += [parsed(received)] if b"x-request-id" in received else []
    return replies
