"""A function that is just enough of one to be started and asked: it lists one agent and echoes the last message."""

import json
import os
from collections.abc import Iterator

from flask import Request, Response


def chat(request: Request) -> Response:
    if request.path == "/health":
        return Response(json.dumps({"status": "healthy"}), content_type="application/json")
    if request.path == "/v1/models":
        models = {"object": "list", "data": [{"id": "echo", "object": "model", "name": "Echo", "pid": os.getpid()}]}
        return Response(json.dumps(models), content_type="application/json")
    message = request.get_json()["messages"][-1]["content"]
    return Response(_stream(message), content_type="text/event-stream")


def _stream(message: str) -> Iterator[str]:
    for word in ["You", " said: ", message]:
        yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': word}}]})}\n\n"
    yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {}, 'finish_reason': 'stop'}]})}\n\n"
    yield "data: [DONE]\n\n"
