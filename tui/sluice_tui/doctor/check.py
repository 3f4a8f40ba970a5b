"""What one examination found."""

from dataclasses import dataclass
from enum import StrEnum

from sluice_wire.errors import ErrorReport


class Status(StrEnum):
    """`warn` works and will give trouble; `skip` could not be examined, or does not apply."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """`found` says what is; `action` what to do about it, "" where there is nothing to do."""

    name: str
    status: Status
    found: str
    action: str = ""


def failed(name: str, report: ErrorReport) -> Check:
    """An error, as a check."""
    return Check(name, Status.FAIL, " ".join(part for part in (report.what, report.why) if part), report.action)
