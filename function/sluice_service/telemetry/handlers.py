"""The handlers that write entries: a readable line here, Cloud Logging's form in `cloud`."""

import logging
import sys
from contextlib import suppress
from typing import TextIO

from sluice_service.telemetry.entries import LOGGER_NAME
from sluice_service.telemetry.rendering import Redact, entry_of, readable_line


class NeverRaises(logging.StreamHandler[TextIO]):
    """What our handlers have in common: whatever goes wrong while an entry is made or written stays here.

    `logging` itself lets a RecursionError through and prints its own failures, arguments included, to standard error
    when `logging.raiseExceptions` is set; both would carry what we redact.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; a failure becomes a line without any of its content."""
        try:
            super().emit(record)
        except RecursionError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Write, in place of an entry that could not be made, that there was one."""
        failure = type(sys.exc_info()[1]).__name__
        # The record is what could not be written: of it, only the logger's name is told.
        message = f"An entry of the logger {record.name} could not be written ({failure})."
        notice = logging.makeLogRecord({"name": LOGGER_NAME, "levelno": logging.ERROR, "msg": message})
        # The stream itself may be what failed: closed, broken, or written to by the code that we interrupt.
        with suppress(OSError, ValueError, RuntimeError):
            self.stream.write(self.format(notice) + self.terminator)
            self.flush()


class ReadableHandler(NeverRaises):
    """Writes one readable line for each entry."""

    def __init__(self, stream: TextIO, redact: Redact) -> None:
        super().__init__(stream)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line; what the stream's encoding lacks becomes an escape."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return readable_line(entry_of(record, self._redact)).encode(encoding, "backslashreplace").decode(encoding)


def is_ours_or_severe(record: logging.LogRecord) -> bool:
    """Whether an entry is written: below WARNING only the service's own are, since a library's may carry headers."""
    return record.levelno >= logging.WARNING or f"{record.name}.".startswith(f"{LOGGER_NAME}.")
