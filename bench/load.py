"""The clients: raw asyncio protocols that note when the first token came and keep the bytes, read only afterwards."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from fake_upstream import answer, token

from sluice_wire.decoder import Decoder

FIRST = f'"content":"{token(0)}"'.encode()
END = b"\r\n0\r\n\r\n"
ANSWER_SECONDS = 60
SPREAD_SECONDS = 1.0
"""The streams begin one after another within this time, as people do, not on one stroke."""


@dataclass(frozen=True)
class Answer:
    """What one client saw: seconds to the first token, the raw response, in how many reads it came."""

    first_token_seconds: float
    raw: bytes
    reads: int

    @property
    def text(self) -> str:
        """The text of a good, whole answer. Raises ValueError for any other."""
        head, _, body = self.raw.partition(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise ValueError(f"not a good answer: {self.raw[:500]!r}")
        *frames, last = (event.data for event in Decoder().feed(_without_chunks(body)))
        choices = [choice for frame in frames for choice in json.loads(frame)["choices"]]
        if last != "[DONE]" or [c["finish_reason"] for c in choices if c["finish_reason"]] != ["stop"]:
            raise ValueError(f"not a whole answer: {self.raw[-500:]!r}")
        return "".join(choice["delta"].get("content", "") for choice in choices)


def _without_chunks(body: bytes) -> bytes:
    """The body without its transfer encoding (RFC 9112, section 7.1)."""
    data = bytearray()
    position = 0
    while True:
        line_end = body.index(b"\r\n", position)
        size = int(body[position:line_end], 16)
        if size == 0:
            return bytes(data)
        data += body[line_end + 2 : line_end + 2 + size]
        position = line_end + 2 + size + 2


class Client(asyncio.Protocol):
    """One connection, one question."""

    def __init__(self) -> None:
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._first = 0.0
        self._last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> None:
        self._asked = self._loop.time()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._first and FIRST in data:
            self._first = self._loop.time()
        self._pieces.append(data)
        self._last = (self._last + data)[-len(END) :]
        if self._last == END and not self.done.done():
            self.done.set_result(Answer(self._first - self._asked, b"".join(self._pieces), len(self._pieces)))
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            received = b"".join(self._pieces)
            self.done.set_exception(ConnectionError(f"closed after {len(received)} bytes ({error}): {received[-500:]!r}"))


def _request(key: str, tokens: int) -> bytes:
    messages = [{"role": "user", "content": "Tell me about the tides."}]
    body = json.dumps({"model": "assistant", "messages": messages, "stream": True, "max_tokens": tokens}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1",
        "host: 127.0.0.1",
        f"authorization: Bearer {key}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


async def _one(port: int, request: bytes, wait_seconds: float) -> Answer:
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    await asyncio.sleep(wait_seconds)
    client.ask(request)
    return await asyncio.wait_for(client.done, ANSWER_SECONDS)


async def ask_at_once(port: int, key: str, streams: int, tokens: int) -> Sequence[Answer]:
    """So many streams side by side, all of them to their end. Raises ConnectionError, TimeoutError."""
    request = _request(key, tokens)
    waits = (SPREAD_SECONDS * number / streams for number in range(streams))
    return await asyncio.gather(*(_one(port, request, wait) for wait in waits))


def check(answers: Sequence[Answer], tokens: int) -> None:
    """Every byte of every answer's text. Raises ValueError for the first that is not whole."""
    for received in answers:
        if received.text != answer(tokens):
            raise ValueError(f"the text is not what upstream said: {received.text[:200]!r}")
