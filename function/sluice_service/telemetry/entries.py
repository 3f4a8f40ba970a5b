"""Writing an entry: the one call that the rest of the service makes.

What an entry looks like outside, and what is kept out of it, is decided where it is rendered.
"""

import logging

REQUEST_RECEIVED = "request_received"
RESPONSE_COMPLETE = "response_complete"
ERROR_OCCURRED = "error_occurred"
CHUNK_SENT = "chunk_sent"
STREAM_CLEANUP = "stream_cleanup"
SAVE_FAILED = "save_failed"

LOGGER_NAME = "sluice"

COUNTED = frozenset({RESPONSE_COMPLETE, ERROR_OCCURRED, SAVE_FAILED})
"""What metrics, and so alerts, are made from: written whatever the level is."""

_logger = logging.getLogger(LOGGER_NAME)
_counted = _logger.getChild("counted")
_counted.setLevel(logging.INFO)


def write(
    event: str, message: str, *, severity: int = logging.INFO, error: BaseException | None = None, **fields: object
) -> None:
    """Write one entry.

    `severity` is one of logging's levels. Names of fields may hold dots (`**{"gen_ai.request.model": "m"}`); a field
    that is None is left out; `httpRequest` (a mapping as in Cloud Logging's HttpRequest) becomes the entry's own. The
    fields of the current request are added. `error` is written with its traceback. Never raises.
    """
    logger = _counted if event in COUNTED else _logger
    if not logger.isEnabledFor(severity):
        return
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    kept = {name: value for name, value in fields.items() if value is not None}
    logger.log(severity, "%s", message, exc_info=exc_info, extra={"json_fields": {**kept, "event": event}}, stacklevel=2)


def is_debug() -> bool:
    """Whether entries at DEBUG are written; asked before the work of making one for every chunk."""
    return _logger.isEnabledFor(logging.DEBUG)
