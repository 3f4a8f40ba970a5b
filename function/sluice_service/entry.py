"""The target `chat`: what functions-framework imports and calls for every request.

Importing it reads the settings, builds the app and sets the server's defaults, since the framework's command line can
change neither threads nor connections. A file of its own with absolute imports, so that
`functions-framework --source …/sluice_service/entry.py` can start it from an installed wheel too.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any

import functions_framework
import gunicorn.config  # type: ignore[import-untyped]  # it ships no types
from flask import Request, Response, request

from sluice_service import address
from sluice_service.app import create_app
from sluice_service.chat.agents import AgentsError
from sluice_service.settings import Settings, SettingsError, load, secret_values
from sluice_service.telemetry import setup

SPARE_CONNECTIONS = 200
"""Connections beyond the threads: at equal numbers gunicorn turns keep-alive off, and /health waits for a place."""


def _serve_with(settings: Settings) -> None:
    """Size the server, and put our worker and logger in place, before it reads its configuration."""
    os.environ["THREADS"] = str(settings.threads)
    gunicorn.config.WorkerConnections.default = settings.threads + SPARE_CONNECTIONS
    gunicorn.config.WorkerClass.default = "sluice_service.web.worker.Worker"
    gunicorn.config.LoggerClass.default = "sluice_service.telemetry.server_log.ServerLogger"
    # It would listen at ~/.gunicorn, which a container's user cannot write; nobody talks to it here.
    gunicorn.config.ControlSocketDisable.default = True
    gunicorn.config.OnStarting.default = staticmethod(address.require_free)
    gunicorn.config.WhenReady.default = staticmethod(address.say_where)


def _log_with(settings: Settings) -> None:
    setup.configure(
        level=settings.log_level,
        project=settings.google_cloud_project,
        on_cloud_run=settings.k_service is not None,
        secrets=secret_values(),
    )


try:
    _settings = load()
    _log_with(_settings)
    _serve_with(_settings)
    _service = create_app(_settings)
except (SettingsError, AgentsError) as problem:
    sys.exit(f"Sluice cannot start: {problem}")


def _take_over(worker: Any) -> None:
    """gunicorn's post_worker_init: the first moment at which the worker's app and its signal handlers are set.

    The framework's own app would only hand every request on to ours, for a third of a millisecond each. gunicorn resets all
    signals after the app was loaded, so a handler set at import would be lost. gunicorn's own one, which stops accepting
    at once, runs when everything open has ended.
    """

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        _service.drain.begin(then=lambda: worker.handle_exit(number, frame))

    signal.signal(signal.SIGTERM, on_sigterm)
    worker.wsgi = _service.app


gunicorn.config.PostWorkerInit.default = staticmethod(_take_over)


def chat(request: Request) -> Response:
    """The target, for servers that are not gunicorn: the app's own answer, the body unread by the framework."""
    response: Response = Response.from_app(_service.app, request.environ, buffered=False)  # type: ignore[assignment]
    return response


def _elsewhere(_: Exception) -> Response:
    return chat(request)


# What the framework's own routes do not match (a path with a line feed), and what it keeps to itself (/robots.txt), would
# be answered in its own words.
functions_framework.errorhandler(404)(_elsewhere)
