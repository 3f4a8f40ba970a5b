"""The least that a client needs to lose nothing: count the whole frames, and ask for those after them.

Deliberately not the terminal's own client: what it shows is that the service needs no more than this.
"""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sluice_wire.decoder import Decoder

PATH = "/v1/chat/completions"
LAST = (b"data: [DONE]", b'data: {"error"')


@dataclass
class Reading:
    """One answer, read over any number of connections. `frames` are whole ones, without heartbeats."""

    stream_id: str = ""
    frames: list[bytes] = field(default_factory=list)
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


def texts(raw: bytes) -> Iterator[str]:
    """The pieces of content in a stream's bytes."""
    for event in Decoder().feed(raw):
        body = {} if event.data == "[DONE]" else json.loads(event.data)
        yield from (choice["delta"].get("content") or "" for choice in body.get("choices", ()))


def read_whole(port: int, key: str, body: dict[str, Any], idempotency_key: str, attempts: int = 60) -> Reading:
    """Ask, and go on after each drop until the last frame; the POST is repeated while no stream id is known."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "idempotency-key": idempotency_key}
    reading = Reading()
    while not reading.ended and reading.connections < attempts:
        reading.connections += 1
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            if reading.stream_id:
                connection.request(
                    "GET", f"/v1/streams/{reading.stream_id}?starting_after={len(reading.frames)}", headers=headers
                )
            else:
                connection.request("POST", PATH, json.dumps(body), headers)
            _take(connection.getresponse(), reading)
        except (OSError, http.client.HTTPException):
            pass  # dropped: what was whole is kept
        finally:
            connection.close()
    return reading


def _take(response: http.client.HTTPResponse, reading: Reading) -> None:
    assert response.status in (200, 204), response.read()
    reading.stream_id = response.headers.get("x-stream-id", reading.stream_id)
    unfinished = b""
    while piece := response.read1():
        *blocks, unfinished = (unfinished + piece).split(b"\n\n")
        reading.frames += [block + b"\n\n" for block in blocks if block.startswith(b"data:")]
