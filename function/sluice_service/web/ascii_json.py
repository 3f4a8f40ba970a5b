"""JSON as bytes, escaped to ASCII: no proxy, terminal or line splitter can take any of it for something else."""

import json
from typing import Any

import orjson


def ascii_json(value: Any) -> bytes:
    """RFC 8259 JSON in ASCII. orjson cannot escape, so what is not ASCII anyway takes the slower way."""
    try:
        fast = orjson.dumps(value)
    except orjson.JSONEncodeError:  # lone surrogates, integers beyond 64 bits
        fast = b"\xff"
    return fast if fast.isascii() else json.dumps(value, separators=(",", ":")).encode("ascii")
