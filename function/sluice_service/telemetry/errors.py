"""The one entry that every error gets, once."""

import logging

from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError


def write_error(error: SluiceError, cause: BaseException | None = None) -> None:
    """`error_occurred`, with what happened, why and the recovery action; a traceback only for our own faults."""
    report = error.report()
    unexpected = cause if cause is not error else None
    entries.write(
        entries.ERROR_OCCURRED,
        report.what,
        severity=logging.ERROR if error.kind.status >= 500 else logging.WARNING,
        error=unexpected,
        error_type=error.code,
        status=error.kind.status,
        retryable=error.kind.retryable,
        param=error.param,
        reason=report.why,
        recovery_action=report.action,
    )
