"""An upstream that tells paced answers at next to no cost: a raw asyncio protocol, every frame made beforehand.

`python bench/fake_upstream.py TOKENS_PER_SECOND` listens on a free loopback port and prints it. A request's `max_tokens`
says how many tokens its answer has; each is one frame and one write, at its moment. It speaks HTTP/1.1 with keep-alive
and chunked bodies, as providers do.
"""

import asyncio
import json
import re
import sys
from typing import Any

FIRST_TOKEN_SECONDS = 0.1
MOST_TOKENS = 5000

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def token(number: int) -> str:
    """The text of one token; every one is another, so that a lost or doubled one is seen."""
    return f"t{number}-word "


def answer(tokens: int) -> str:
    """The whole text."""
    return "".join(map(token, range(tokens)))


def _framed(data: str) -> bytes:
    frame = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    body = {
        "id": "chatcmpl-CkX0m2Wq3n6uN1c4y5Zp7Rb8Td9Vf",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "gpt-4.1-mini-2025-04-14",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "obfuscation": "a1b2c3d4e5",
        **more,
    }
    return _framed(json.dumps(body, separators=(",", ":")))


TOKENS = [_chunk({"content": token(number)}) for number in range(MOST_TOKENS)]
ROLE = _chunk({"role": "assistant", "content": "", "refusal": None})
USAGE = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
END = _chunk({}, "stop") + _chunk({}, choices=[], usage=USAGE) + _framed("[DONE]") + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection, one answer at a time."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._loop = asyncio.get_running_loop()
        self._request = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._request += data
        head, found, body = self._request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if found and length and len(body) >= int(length[1]):
            self._request = b""
            self._left = json.loads(body)["max_tokens"]
            self._told = 0
            self._transport.write(HEAD + ROLE)
            self._start = self._loop.time() + FIRST_TOKEN_SECONDS
            self._timer = self._loop.call_at(self._start, self._tell)

    def _tell(self) -> None:
        if self._told == self._left:
            self._transport.write(END)
            return
        self._transport.write(TOKENS[self._told])
        self._told += 1
        # Counted from the start, so that no delay adds up.
        self._timer = self._loop.call_at(self._start + self._told * self._interval_seconds, self._tell)


async def _serve(tokens_per_second: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(1 / tokens_per_second), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
