"""An OpenAI-compatible server on a real socket that answers as a test tells it to, and waits where the test says so."""

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from sluice_wire.errors import SluiceError

WAIT_SECONDS = 30


class Act(Enum):
    """What a script can do besides sending."""

    HANG = "hang"
    RESET = "reset"


HANG, RESET = Act.HANG, Act.RESET

Step: TypeAlias = str | bytes | threading.Event | Act
"""Text is sent as a content chunk, bytes as they are; an event is waited for; HANG is silent until the peer is gone."""

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Reply:
    """A response that is no stream; it is held back until its gate is open."""

    status: int
    body: Any
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: threading.Event | None = None


@dataclass(frozen=True)
class Received:
    """One request; `gone` is set when its connection was seen to close by the peer."""

    path: str
    headers: Mapping[str, str]
    body: Any
    gone: threading.Event = field(default_factory=threading.Event)


def chunk(**choice: Any) -> bytes:
    """One frame with one choice."""
    return frame({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, **choice}]})


def content(text: str) -> bytes:
    return chunk(delta={"content": text})


def frame(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def usage(completion_tokens: int) -> bytes:
    return frame({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": completion_tokens}})


BROKEN = frame(SluiceError("upstream_truncated").report("corr-1").to_openai())
"""The model's own failure, which is told at once: a connection that breaks would be made again."""


def whole(*steps: Step) -> list[Step]:
    """A good answer."""
    return [*steps, chunk(finish_reason="stop"), usage(7), DONE]


class FakeOpenAI:
    """Answers `POST /v1/chat/completions` by `script`, or by `scripts` one after another; `replies` go by path.

    With a `stream_id` it can be asked for the rest of a stream, which it answers by `resumptions` one after another.
    """

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = [{"id": "fake", "object": "model"}]
        self.base = "/v1"
        """Where the API lies; nothing is anywhere else."""
        self.models_gate = threading.Event()
        self.models_gate.set()
        self.script: Sequence[Step] = whole("Hello", " world")
        self.scripts: list[Sequence[Step] | Reply] = []
        self.stream_id = ""
        self.resumptions: list[Sequence[Step] | Reply] = []
        self.replies: dict[str, Reply] = {}
        self.received: list[Received] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.serve(self, None)

            def do_POST(self) -> None:
                server.serve(self, json.loads(self.rfile.read(int(self.headers["content-length"])) or "null"))

            def log_message(self, *_: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        # A handler that waits is let go of when its peer hangs up, so closing need not wait for it.
        self._http.block_on_close = False
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def completions(self) -> list[Received]:
        return [request for request in self.received if request.path == f"{self.base}/chat/completions"]

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order, without the list of models."""
        return [request.path.removeprefix("/v1") for request in self.received if request.path != "/v1/models"]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def serve(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        # As a proxy it is asked for whole addresses.
        handler.path = handler.path.removeprefix(f"http://{handler.headers['host']}")
        request = Received(handler.path, {name.lower(): value for name, value in handler.headers.items()}, body)
        self.received.append(request)
        try:
            if reply := self.replies.get(handler.path):
                _send(handler, reply)
            elif not handler.path.startswith(f"{self.base}/") or (not self.base and handler.path.startswith("/v1/")):
                _send(handler, Reply(404, "404 page not found", "text/plain"))
            elif handler.path.endswith("/cancel"):
                _send(handler, Reply(200, {"object": "stream"}))
            elif handler.path.startswith("/v1/streams/"):
                self._answer(handler, self.resumptions.pop(0))
            elif handler.path == f"{self.base}/models":
                assert self.models_gate.wait(WAIT_SECONDS)
                _send(handler, Reply(200, {"object": "list", "data": self.models}))
            else:
                self._answer(handler, self.scripts.pop(0) if self.scripts else self.script)
        except OSError:
            pass
        request.gone.set()

    def _answer(self, handler: BaseHTTPRequestHandler, script: Sequence[Step] | Reply) -> None:
        if isinstance(script, Reply):
            _send(handler, script)
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream; charset=utf-8")
        handler.send_header("x-correlation-id", "corr-1")
        if self.stream_id:
            handler.send_header("x-stream-id", self.stream_id)
        handler.end_headers()
        for step in script:
            match step:
                case str():
                    handler.wfile.write(content(step))
                case bytes():
                    handler.wfile.write(step)
                case threading.Event():
                    assert step.wait(WAIT_SECONDS)
                case Act.HANG:
                    handler.connection.recv(1)
                case Act.RESET:
                    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    handler.connection.close()


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    assert reply.gate is None or reply.gate.wait(WAIT_SECONDS)
    text = reply.body if isinstance(reply.body, str | bytes) else json.dumps(reply.body)
    data = text.encode() if isinstance(text, str) else text
    handler.send_response(reply.status)
    for name, value in {"content-type": reply.content_type, "content-length": str(len(data)), **reply.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def fake_openai() -> Iterator[FakeOpenAI]:
    server = FakeOpenAI()
    try:
        yield server
    finally:
        server.close()
