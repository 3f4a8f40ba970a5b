"""What the process says when it ends."""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluice_wire.errors import ErrorReport


class ExitCode(IntEnum):
    """`sluice ask --help` lists them; 124, 130 and 141 are what timeout(1) and shells use."""

    OK = 0
    ANSWER_FAILED = 1
    USAGE = 2
    NO_CONNECTION = 3
    CREDENTIALS_REFUSED = 4
    LIMIT_REACHED = 5
    TIMED_OUT = 124
    INTERRUPTED = 130
    READER_GONE = 141


LISTED = """\
exit codes:
  0    the answer is whole
  1    the answer failed, or broke off
  2    the command line or the configuration is wrong, or there is no prompt
  3    no connection, or the local function did not start
  4    the API key, or the Google identity, was refused
  5    a limit is reached, or the server is full: later it may work
  124  it took longer than --timeout
  130  interrupted with Ctrl+C
  141  whoever read standard output went away
"""

_BY_CODE = {
    ExitCode.NO_CONNECTION: {
        "environment_unusable", "connection_refused", "unknown_host", "connect_timeout", "tls_failed", "not_an_api",
        "redirected", "request_impossible", "function_not_installed", "function_failed", "function_timeout",
    },
    ExitCode.CREDENTIALS_REFUSED: {
        "credentials_refused", "missing_credentials", "invalid_credentials", "permission_denied", "invalid_api_key",
        "identity_refused", "no_identity_token",
    },
    ExitCode.LIMIT_REACHED: {
        "rate_limited", "too_many_streams", "over_capacity", "server_draining", "upstream_rate_limited",
        "upstream_overloaded", "rate_limit_exceeded", "insufficient_quota",
    },
    ExitCode.TIMED_OUT: {"ask_timeout"},
}  # fmt: skip


def exit_code(report: "ErrorReport", *, began: bool = False) -> ExitCode:
    """The exit code for an error; once an answer `began`, it is that answer's failure, unless the time was over."""
    found = next((code for code, names in _BY_CODE.items() if report.code in names), ExitCode.ANSWER_FAILED)
    return ExitCode.ANSWER_FAILED if began and found is not ExitCode.TIMED_OUT else found
