"""Server-Sent Events, encoded: fields to the bytes of one frame.

Source: WHATWG HTML, section 9.2 "Server-sent events".

Deliberate: a CR or LF inside `id` or `event` is dropped rather than refused, because it could only ever be an attempt
to forge a field; inside `data` it starts another `data:` line, which the standard joins again with LF.
"""

import re

HEARTBEAT_BLOCK = b": ping\n\n"
"""A comment that ends like a frame: for streams without ids, where proxies and clients may wait for a blank line."""

HEARTBEAT_LINE = b": ping\n"
"""A comment with a single LF: in streams with ids, httpx-sse and openai-python dispatch an empty event on a blank line."""

_LINE_ENDS = re.compile("\r\n|\r|\n")
_LINE_BREAKERS = str.maketrans("", "", "\r\n\0")


def encode_frame(data: str, *, id: str | None = None, event: str | None = None, retry: int | None = None) -> bytes:
    """One frame, terminated by its blank line.

    `retry` is in milliseconds. Any text is accepted; what UTF-8 cannot hold (lone surrogates) becomes `?`.
    """
    lines = []
    if id is not None:
        lines.append(f"id: {id.translate(_LINE_BREAKERS)}")
    if event is not None:
        lines.append(f"event: {event.translate(_LINE_BREAKERS)}")
    if retry is not None:
        lines.append(f"retry: {retry:d}")
    lines.extend(f"data: {line}" for line in _LINE_ENDS.split(data))
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")
