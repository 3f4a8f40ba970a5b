"""A gateway as tutorials write it: Flask, the openai SDK, a generator. No checks, no resume, no clocks."""

import json
from collections.abc import Iterator

import openai
from flask import Flask, Response, request

app = Flask(__name__)
client = openai.OpenAI()


@app.post("/v1/chat/completions")
def completions() -> Response:
    body = request.get_json()
    if not body.get("stream"):
        reply = client.chat.completions.create(model=body["model"], messages=body["messages"])
        return Response(reply.model_dump_json(), content_type="application/json")
    chunks = client.chat.completions.create(model=body["model"], messages=body["messages"], stream=True)

    def frames() -> Iterator[str]:
        for chunk in chunks:
            yield f"data: {json.dumps(chunk.model_dump())}\n\n"
        yield "data: [DONE]\n\n"

    return Response(frames(), content_type="text/event-stream")
