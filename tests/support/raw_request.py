"""Requests sent by hand, for clients that do what no well-behaved one does: stop half-way, reset, take nothing."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

from tests.support.running_function import RunningFunction

PATH = "/v1/chat/completions"


def request_bytes(
    function: RunningFunction, question: str, headers: Mapping[str, str] | None = None, *, stream: bool = True
) -> bytes:
    """A whole POST that asks the agent `assistant`."""
    body = json.dumps({"model": "assistant", "stream": stream, "messages": [{"role": "user", "content": question}]})
    given = {"host": "x", "authorization": f"Bearer {function.key}", "content-type": "application/json"}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in {**given, **(headers or {})}.items())]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", body]).encode()


def connected(function: RunningFunction, receive_buffer_bytes: int | None = None) -> socket.socket:
    """A connection to the function; a small buffer makes a reader that takes nothing felt soon."""
    connection = socket.socket()
    if receive_buffer_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", function.port))
    return connection


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What is received until `end` is in it, or the connection ends."""
    received = b""
    while end not in received and (piece := connection.recv(65536)):
        received += piece
    return received


def reset(connection: socket.socket) -> None:
    """Leave with a TCP reset, as a crashed client's system does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def error_of(response: bytes) -> dict[str, Any]:
    """The error object in a whole response that is one."""
    error: dict[str, Any] = json.loads(response.partition(b"\r\n\r\n")[2])["error"]
    return error


def stream_id_in(response: bytes) -> str:
    """The id that a stream's headers tell."""
    return response.decode().lower().partition("x-stream-id: ")[2].split()[0]
