"""The error bodies of other servers, brought into OpenAI's shape. No I/O.

| server | body |
| --- | --- |
| OpenAI, LiteLLM, llama.cpp, OpenRouter | `{"error": {"message", "type", "code"}}`, the code a string or a status |
| Ollama, TGI, LM Studio | `{"error": "text"}` |
| vLLM before 0.10, SGLang | `{"object": "error", "message", "type", "code"}` |
| Gemini | `[{"error": {…}}]` |
| FastAPI | `{"detail": "text"}`, `{"detail": [{"loc": […], "msg"}]}` |
| API gateways of AWS, Kong and Mistral | `{"message": "text"}` |
| Cloudflare | `{"errors": [{"code", "message"}]}` |
"""

from collections.abc import Mapping
from typing import Any


def openai_error(body: object) -> dict[str, Any] | None:
    """The `error` object that OpenAI would have sent; None where the body tells of no error.

    Its `message` is a string; what else is in it stands as the server sent it.
    """
    if isinstance(body, list):
        return openai_error(body[0]) if len(body) == 1 else None
    if not isinstance(body, dict):
        return None
    told = next((body[name] for name in ("error", "errors", "detail") if body.get(name)), body)
    if isinstance(told, str):
        return {"message": told}
    if isinstance(told, list):
        return _of_list(told)
    return _of_object(told) if isinstance(told, dict) else None


def is_error_chunk(chunk: object) -> bool:
    """Whether an event of a stream is such an error in another shape than OpenAI's, as SGLang sends it."""
    return isinstance(chunk, dict) and chunk.get("object") == "error"


def _of_list(told: list[Any]) -> dict[str, Any] | None:
    """What FastAPI says of a request's fields, or Cloudflare of several errors."""
    texts = [text for item in told if (text := _complaint(item))]
    return {"message": "; ".join(texts)} if texts else None


def _complaint(item: object) -> str:
    if not isinstance(item, dict):
        return item if isinstance(item, str) else ""
    place = (
        ".".join(str(part) for part in item.get("loc", ()) if part != "body") if isinstance(item.get("loc"), list) else ""
    )
    text = item.get("msg") or item.get("message")
    return f"{place}: {text}" if place and text else str(text or "")


def _of_object(told: Mapping[str, Any]) -> dict[str, Any] | None:
    message = told.get("message") or told.get("error") or told.get("detail")
    if isinstance(message, dict | list):
        return openai_error({"error": message})
    return {**told, "message": message} if isinstance(message, str) else None
