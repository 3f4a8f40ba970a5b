"""Write docs/errors.md: every error code with its status, its three parts and whether trying again can help."""

import sys

from generated import write_or_check
from sluice_wire.errors import ERRORS, ErrorKind

HEAD = """\
# Errors

Every error of the service has one of these codes. Before an answer has begun it is a JSON body with the HTTP status
below; after that it is one frame `data: {"error":{…}}`, and the stream ends without `[DONE]`. Both hold the same
object, OpenAI's with four additions (`reason`, `action`, `retryable`, `correlation_id`):

```json
{"error": {"message": "what happened", "type": "…", "param": null, "code": "…",
           "reason": "why", "action": "what to do", "retryable": false, "correlation_id": "…"}}
```

The simple API (`/chat` and its EventSource routes) tells an error as `{"error": "what happened", "detail": "why, and what to
do", "correlation_id": "…", "code": "…"}`; inside a stream the same object is the last frame, with `sequence`,
`"is_final": true` and `"status": "error"`.

Where trying again cannot help, the response says `x-should-retry: false`, which the OpenAI SDKs obey. Names in
`{braces}` are filled in. What a model's provider said is in the log, never in the error.

| code | status | `type` | retry? | what happened | why | what to do |
| --- | --- | --- | --- | --- | --- | --- |
"""


def main() -> int:
    text = HEAD + "".join(row(kind) for kind in ERRORS.values())
    return write_or_check("Document every error code.", {"docs/errors.md": text})


def row(kind: ErrorKind) -> str:
    """One line of the table."""
    retry = "yes" if kind.retryable else "no"
    cells = [f"`{kind.code}`", str(kind.status), f"`{kind.type}`", retry, kind.what, kind.why, kind.action]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    sys.exit(main())
