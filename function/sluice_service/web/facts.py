"""What `response_complete` says of a generation, by OpenTelemetry's GenAI names where there are any.

Source: OpenTelemetry semantic conventions, "Generative AI client spans".
"""

import time
from typing import Any

from sluice_service.generation.record import Record


def facts_of(record: Record, *, departed: bool) -> dict[str, Any]:
    """Timing, counts, tokens and how it ended. Times are milliseconds from the start of the generation."""
    usage = record.usage or {}
    return {
        "time_to_first_token_ms": record.milliseconds_to(record.first_token),
        "generation_ms": record.milliseconds_to(record.ended or time.monotonic()),
        "max_gap_ms": round(record.max_gap_seconds * 1000, 1),
        "chunks": record.chunks,
        "gen_ai.usage.input_tokens": usage.get("prompt_tokens"),
        "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
        "gen_ai.response.finish_reasons": record.finish_reasons or None,
        "error_type": record.error.code if record.error else None,
        "persisted": record.saved.persisted if record.saved and record.saved.conversation_id else None,
        "client_disconnected": departed,
    }
