"""What a process with our logging writes, caught in memory, and the logging of the test run put back afterwards."""

import io
import json
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sluice_service.telemetry import setup
from sluice_service.telemetry.entries import LOGGER_NAME

PROJECT = "a-project"


class Logged:
    """Everything written so far."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self.stream = stream

    @property
    def text(self) -> str:
        assert isinstance(self.stream, io.StringIO)
        return self.stream.getvalue()

    @property
    def lines(self) -> list[str]:
        # Also the lines that only some readers see, such as those after U+2028.
        return self.text.splitlines()

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.removesuffix("\n").split("\n")]

    @property
    def document(self) -> dict[str, Any]:
        (document,) = self.documents
        return document


@contextmanager
def logged(
    *,
    cloud: bool,
    level: str = "INFO",
    project: str | None = PROJECT,
    secrets: Iterable[str] = (),
    stream: Any = None,
) -> Iterator[Logged]:
    loggers = [logging.getLogger(name) for name in (None, LOGGER_NAME, *setup.LIBRARIES)]
    before = [(logger, logger.level, list(logger.handlers), logger.propagate) for logger in loggers]
    hook, threading.excepthook = threading.excepthook, threading.__excepthook__
    logging.getLogger().handlers.clear()
    caught = stream or io.StringIO()
    setup.configure(level=level, project=project, on_cloud_run=cloud, secrets=secrets, stream=caught)
    try:
        yield Logged(caught)
    finally:
        threading.excepthook = hook
        for logger, level_before, handlers, propagate in before:
            logger.setLevel(level_before)
            logger.handlers[:] = handlers
            logger.propagate = propagate
