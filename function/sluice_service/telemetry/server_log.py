"""gunicorn's logger, led through the service's handler.

gunicorn sets its loggers up after the app was loaded, for the arbiter and for each worker, with a handler of its own
and no propagation. Naming this class as its `logger_class` is the only way in: the framework fixes the rest.
"""

import logging

from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # gunicorn ships no types

from sluice_service.telemetry.setup import adopt


class ServerLogger(Logger):  # type: ignore[misc]  # an untyped base
    """`gunicorn.config.LoggerClass.default = "sluice_service.telemetry.server_log.ServerLogger"`."""

    def setup(self, cfg: object) -> None:
        """Set up as gunicorn does, then hand the error log over."""
        super().setup(cfg)
        adopt(self.error_log)
        self.error_log.addFilter(_calm_about_clients)


def _calm_about_clients(record: logging.LogRecord) -> bool:
    """One plain line for a client that stood still: gunicorn takes it for an error of ours, with a traceback each."""
    stood_still = record.exc_info is not None and isinstance(record.exc_info[1], BlockingIOError | TimeoutError)
    if stood_still:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = "A client took or sent nothing for too long: its connection was closed.", ()
        record.exc_info = record.exc_text = None
    return True
