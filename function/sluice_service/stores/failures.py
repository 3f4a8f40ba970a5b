"""How a store says that it cannot answer: one entry for whoever runs the service, one error for the caller."""

import logging

from sluice_service.telemetry import entries
from sluice_wire.errors import SluiceError

RETRY_AFTER_SECONDS = 1.0


def unavailable(store: str, operation: str, reason: str, cause: BaseException | None = None) -> SluiceError:
    """The error to raise; the entry `store_failed` says what failed and why."""
    entries.write(
        "store_failed",
        f"The {store} store could not do its work: {reason}",
        severity=logging.WARNING,
        operation=operation,
        failure=type(cause).__name__ if cause is not None else None,
        detail=str(cause) if cause is not None else None,
    )
    return SluiceError("storage_unavailable", retry_after_seconds=RETRY_AFTER_SECONDS)
