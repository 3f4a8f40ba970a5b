"""The least that a client needs to lose nothing: count the whole frames, and ask for those after them.

Deliberately not the terminal's own client: what it shows is that the service needs no more than this.
"""

import contextlib
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from sluice_wire.decoder import Decoder

PATH = "/v1/chat/completions"
LAST = (b"data: [DONE]", b'data: {"error"')

_TLS = ssl.create_default_context()  # made once: it takes longer than a whole answer


@dataclass
class Reading:
    """One answer, read over any number of connections. `frames` are whole ones, without heartbeats."""

    stream_id: str = ""
    frames: list[bytes] = field(default_factory=list)
    heartbeats: int = 0
    connections: int = 0

    @property
    def ended(self) -> bool:
        return bool(self.frames) and self.frames[-1].startswith(LAST)

    @property
    def raw(self) -> bytes:
        return b"".join(self.frames)

    @property
    def text(self) -> str:
        return "".join(texts(self.raw))


def frames_of(raw: bytes) -> list[bytes]:
    """A stream's whole frames, without heartbeats."""
    return [block + b"\n\n" for block in raw.split(b"\n\n") if block.startswith(b"data:")]


def texts(raw: bytes) -> Iterator[str]:
    """The pieces of content in a stream's bytes."""
    for event in Decoder().feed(raw):
        body = {} if event.data == "[DONE]" else json.loads(event.data)
        yield from (choice.get("delta", {}).get("content") or "" for choice in body.get("choices", ()))


class ResumingClient(contextlib.ExitStack):
    """Speaks to one port with one key; every request has a connection of its own."""

    def __init__(self, port: int, key: str) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{port}"
        self._headers = {"authorization": f"Bearer {key}"}

    def __enter__(self) -> Self:
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = self.enter_context(
            httpx.Client(base_url=self._url, headers=self._headers, limits=limits, verify=_TLS, timeout=20)
        )
        return self

    def read_whole(self, body: dict[str, Any], idempotency_key: str, attempts: int = 60) -> Reading:
        """Ask, and go on after each drop until the last frame; the POST is repeated while no stream id is known."""
        reading = Reading()
        while not reading.ended and reading.connections < attempts:
            with contextlib.suppress(httpx.TransportError):  # dropped: what was whole is kept
                response = self.resume(reading) if reading.stream_id else self.ask(reading, body, idempotency_key)
                take(response, reading)
        return reading

    def read_on(self, reading: Reading) -> None:
        """Resume until the last frame."""
        while not reading.ended:
            with contextlib.suppress(httpx.TransportError):
                take(self.resume(reading), reading)

    def ask(self, reading: Reading, body: dict[str, Any], idempotency_key: str) -> httpx.Response:
        """Send the POST; its response, which is still to be read."""
        request = self._http.build_request("POST", PATH, json=body, headers={"idempotency-key": idempotency_key})
        return self._send(request, reading)

    def resume(self, reading: Reading) -> httpx.Response:
        """Send the GET for all that the reading lacks."""
        cursor = {"starting_after": len(reading.frames)}
        return self._send(self._http.build_request("GET", f"/v1/streams/{reading.stream_id}", params=cursor), reading)

    def _send(self, request: httpx.Request, reading: Reading) -> httpx.Response:
        reading.connections += 1
        response = self._http.send(request, stream=True)
        reading.stream_id = response.headers.get("x-stream-id", reading.stream_id)
        return response


def take(response: httpx.Response, reading: Reading) -> None:
    """Read until the end, or until the drop, which is raised; what was whole by then is kept."""
    with contextlib.closing(response):
        assert response.status_code in (200, 204), response.read()
        unfinished = b""
        for piece in response.iter_raw():
            *blocks, unfinished = (unfinished + piece).split(b"\n\n")
            reading.frames += frames_of(b"\n\n".join(blocks))
            reading.heartbeats += blocks.count(b": ping")
