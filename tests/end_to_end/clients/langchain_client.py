"""LangChain, as its users call it; what they get is printed as one JSON object.

langchain_client.py stream|invoke, with SLUICE_URL and SLUICE_API_KEY in the environment.
"""

import json
import os
import sys
from typing import Any

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]  # it is in the clients' environment alone
from openai import APIError

model = ChatOpenAI(
    model="assistant",
    base_url=f"{os.environ['SLUICE_URL']}/v1",
    api_key=os.environ["SLUICE_API_KEY"],
    stream_usage=True,
)
got: dict[str, Any] = {"text": "", "finish_reason": None, "usage": None, "error": None}


def take(message: Any) -> None:
    got["text"] += message.text
    got["finish_reason"] = message.response_metadata.get("finish_reason") or got["finish_reason"]
    got["usage"] = message.usage_metadata or got["usage"]


try:
    for message in model.stream("hi") if sys.argv[1] == "stream" else [model.invoke("hi")]:
        take(message)
except APIError as error:
    got["error"] = {"name": type(error).__name__, "code": error.code}
print(json.dumps(got))
