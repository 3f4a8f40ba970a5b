"""An upstream that does what a test tells it to, byte by byte, on a real socket: also what no well-behaved server would.

A script is a list of steps: bytes are sent, a number is a pause in seconds, `HANG` keeps the connection open and silent
until the peer closes it, `RESET` ends it with a TCP reset, `CLOSE` with a clean end.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias


class Act(Enum):
    HANG = "hang"
    RESET = "reset"
    CLOSE = "close"


HANG, RESET, CLOSE = Act.HANG, Act.RESET, Act.CLOSE

Step: TypeAlias = bytes | float | Act
Script: TypeAlias = Sequence[Step]

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """One frame as OpenAI sends it."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def answer(*pieces: str, pause: float = 0) -> list[Step]:
    """A whole good answer in these pieces."""
    first = (
        b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}]}\n\n'
    )
    told: list[Step] = [STREAM_HEAD, first]
    for piece in pieces:
        told += [chunk(piece), pause]
    usage = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    return [*told, chunk(finish="stop"), usage, b"data: [DONE]\n\n", CLOSE]


def response(status: str, body: bytes, *headers: str, content_type: str = "application/json") -> list[Step]:
    """A whole response that is no stream."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {content_type}", f"content-length: {len(body)}", *headers]
    return ["\r\n".join([*lines, "connection: close", "", ""]).encode() + body, CLOSE]


@dataclass
class Call:
    """One request as it arrived, and when its connection was seen to close (`time.monotonic()`)."""

    headers: dict[str, str]
    body: Any
    closed: threading.Event = field(default_factory=threading.Event)
    closed_at: float = 0.0


class ScriptedUpstream:
    """Serves each request by the script that `script` holds at that moment, or by what it returns for the body."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.script: Script | Callable[[Any], Script] = answer("Hello", " world")
        self._server = socket.create_server(("127.0.0.1", 0), backlog=2048)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._server.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        # shutdown wakes the thread that accepts; close alone would leave it there
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the peer may reset it at any moment
            call = _read_request(connection)
            if call is not None:
                self._answer(connection, call)

    def _answer(self, connection: socket.socket, call: Call) -> None:
        self.calls.append(call)
        try:
            script = self.script(call.body) if callable(self.script) else self.script
            for step in script:
                _perform(connection, step)
        finally:
            call.closed_at = time.monotonic()
            call.closed.set()


def _read_request(connection: socket.socket) -> Call | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in head.decode().split("\r\n")[1:])
    }
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    return Call(headers, json.loads(body or b"null"))


def _perform(connection: socket.socket, step: Step) -> None:
    if isinstance(step, bytes):
        connection.sendall(step)
    elif isinstance(step, int | float):
        time.sleep(step)
    elif step is HANG:
        connection.recv(1)
    elif step is RESET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif step is CLOSE:
        connection.shutdown(socket.SHUT_WR)
