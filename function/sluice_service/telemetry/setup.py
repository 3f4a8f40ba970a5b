"""Logging, set up once for the process: one handler on the root logger, whoever logs."""

import logging
import sys
import threading
from collections.abc import Iterable
from typing import TextIO

from sluice_service.telemetry.cloud import CloudHandler
from sluice_service.telemetry.entries import ERROR_OCCURRED, LOGGER_NAME, write
from sluice_service.telemetry.handlers import NeverRaises, ReadableHandler, is_ours_or_severe
from sluice_service.telemetry.redaction import Redactor
from sluice_service.telemetry.rendering import Redact

LIBRARIES = ("gunicorn.error", "werkzeug", "asyncio")
"""Loggers that bring handlers or levels of their own, or whose lines below WARNING carry headers."""


def configure(
    *, level: str, project: str | None, on_cloud_run: bool, secrets: Iterable[str], stream: TextIO | None = None
) -> None:
    """Send every entry of the process through one handler; calling it again replaces what it set up before.

    `level` is the least severe level of the service's own entries; libraries are heard from WARNING on. `secrets` are
    values to keep out. `stream` is standard output on Cloud Run and standard error elsewhere, when not given.
    """
    handler = _handler(Redactor(secrets), project, on_cloud_run=on_cloud_run, stream=stream)
    handler.addFilter(is_ours_or_severe)
    root = logging.getLogger()
    for old in [old for old in root.handlers if _is_replaced(old)]:
        root.removeHandler(old)
    root.addHandler(handler)
    threshold = logging.getLevelNamesMapping()[level]
    logging.getLogger(LOGGER_NAME).setLevel(threshold)
    root.setLevel(max(threshold, logging.WARNING))
    for name in LIBRARIES:
        adopt(logging.getLogger(name))
    if not isinstance(threading.excepthook, _ThreadFailures):
        threading.excepthook = _ThreadFailures()


def adopt(logger: logging.Logger) -> None:
    """Let a library's logger speak through the root's handler only, from WARNING on."""
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(max(logging.WARNING, logging.getLogger().level))


def _handler(redact: Redact, project: str | None, *, on_cloud_run: bool, stream: TextIO | None) -> logging.Handler:
    if not on_cloud_run:
        return ReadableHandler(stream or sys.stderr, redact)
    return CloudHandler(stream or sys.stdout, redact, project)


def _is_replaced(handler: logging.Handler) -> bool:
    # Plain stream handlers are the framework's, logging.basicConfig's or openai's; a test's own classes stay.
    return isinstance(handler, NeverRaises) or type(handler) is logging.StreamHandler


class _ThreadFailures:
    """threading.excepthook: an exception that ended a thread becomes an entry."""

    def __init__(self) -> None:
        self._next = threading.excepthook

    def __call__(self, failure: threading.ExceptHookArgs) -> None:
        if issubclass(failure.exc_type, SystemExit):
            return
        write(
            ERROR_OCCURRED,
            "A thread was ended by an exception.",
            severity=logging.ERROR,
            error=failure.exc_value,
            thread=failure.thread.name if failure.thread else None,
            error_type=failure.exc_type.__name__,
            action="none: the thread is gone",
        )
        # A hook that somebody set, a test runner's for one, is still told; the default one only prints.
        if self._next is not threading.__excepthook__:
            self._next(failure)
