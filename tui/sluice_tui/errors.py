"""What can go wrong on the terminal's side of the wire, each told in three parts like the service's own errors.

ClientError          carries an ErrorReport: the server's own, or one of the kinds listed here
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sluice_tui.foreign_errors import openai_error
from sluice_tui.safety import inert_line, inert_report
from sluice_wire.errors import ErrorReport

_LASTING = {"insufficient_quota"}
"""OpenAI says 429 to these too, but no wait helps."""


@dataclass(frozen=True, slots=True)
class ClientErrorKind:
    """One row of the list; `{names}` in the parts are filled when the error is made."""

    what: str
    why: str
    action: str
    retryable: bool = True


class ClientError(Exception):
    """Something that the user asked for failed; `report` is what to show, already inert.

    `status` and `retry_after_seconds` are those of the response that refused it, None where there was none.
    """

    def __init__(self, report: ErrorReport) -> None:
        super().__init__(report.code)
        self.report = report
        self.status: int | None = None
        self.retry_after_seconds: float | None = None

    @property
    def key_refused(self) -> bool:
        """Whether another API key may help: not where Cloud Run asks for a Google identity."""
        return self.status == 401 and self.report.code != "identity_refused"


def client_error(code: str, *, correlation_id: str = "", **data: object) -> ClientError:
    """The error of that code, its parts filled from `data`, which may come from anywhere."""
    kind = CLIENT_ERRORS[code]
    shown = {name: inert_line(str(value)) for name, value in data.items()}
    report = ErrorReport(
        code=code,
        what=kind.what.format_map(shown),
        why=kind.why.format_map(shown),
        action=kind.action.format_map(shown),
        type="client_error",
        retryable=kind.retryable,
        correlation_id=inert_line(correlation_id, 128),
    )
    return ClientError(report)


def told_by_server(body: object, ours: ClientError) -> ClientError:
    """The error that a server's JSON tells in its own words, made inert; `ours` where it has none.

    Parts that only Sluice sends are taken from `ours` when they are missing.
    """
    error = openai_error(body)
    theirs = ErrorReport.from_openai({"error": error})
    if error is None or theirs is None:
        return ours
    fallback = ours.report
    said = inert_report(theirs)
    code = _code(error) or fallback.code
    return ClientError(
        replace(
            said,
            code=inert_line(code, 64),
            why=said.why or fallback.why,
            action=said.action or fallback.action,
            correlation_id=said.correlation_id or fallback.correlation_id,
            retryable=said.retryable if "retryable" in error else fallback.retryable and code not in _LASTING,
        )
    )


def _code(error: Mapping[str, object]) -> str:
    """The server's word for it: some put the status where OpenAI has one."""
    words = (error.get("code"), error.get("type"))
    return next((word for word in words if isinstance(word, str) and word and not word.isdigit()), "")


def as_text(report: ErrorReport) -> str:
    """An error in lines for a person: its parts, and what to name when asking someone about it."""
    return "\n".join(line for line in (report.what, report.why, report.action, reference(report)) if line)


def reference(report: ErrorReport) -> str:
    """The code, and the correlation id where there is one."""
    return f"{report.code} · {report.correlation_id}" if report.correlation_id else report.code


CLIENT_ERRORS: Mapping[str, ClientErrorKind] = {
    "environment_unusable": ClientErrorKind(
        "No connection can be made with this environment.",
        "Its settings for proxies or certificates cannot be used: {problem}",
        "Check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
        retryable=False,
    ),
    "connection_refused": ClientErrorKind(
        "Nothing answers at {url}.",
        "No connection could be made: no server listens there, or the network does not lead to it.",
        "Start the server, or check --url (SLUICE_URL) and your network; then try again.",
    ),
    "unknown_host": ClientErrorKind(
        "The host of {url} is not known.",
        "Its name could not be resolved to an address.",
        "Check the spelling of --url (SLUICE_URL) and your network connection.",
    ),
    "connect_timeout": ClientErrorKind(
        "No connection to {url} within {seconds} s.",
        "The host does not answer: it is down, overloaded, or a firewall drops the packets.",
        "Check --url (SLUICE_URL) and your network, then try again.",
    ),
    "tls_failed": ClientErrorKind(
        "No trusted connection to {url}.",
        "The certificate is not valid for this host, or the server does not speak TLS there.",
        "Check that --url (SLUICE_URL) has the right scheme (http or https), host and port.",
        retryable=False,
    ),
    "not_an_api": ClientErrorKind(
        "What answers at {url} is not an OpenAI-compatible API.",
        "It replied with status {status} and content of type {content_type}.",
        "Check --url (SLUICE_URL): the base address of an API ends in /v1 as a rule.",
        retryable=False,
    ),
    "redirected": ClientErrorKind(
        "{url} redirects to another address.",
        "Your key is never sent to an address that you did not name; the server points to {location}.",
        "If you trust that address, give it as --url (SLUICE_URL).",
        retryable=False,
    ),
    "credentials_refused": ClientErrorKind(
        "The server at {url} does not accept your API key.",
        "The key is missing, wrong or expired, or may not do this.",
        "Give the key in SLUICE_API_KEY (or --api-key) and try again.",
        retryable=False,
    ),
    "request_refused": ClientErrorKind(
        "The server at {url} refused the request with status {status}.",
        "Something in the request does not suit it: the model's name, a parameter or the length of the text.",
        "Check --agent (SLUICE_AGENT) and what was asked; `sluice doctor` lists the models that the server offers.",
        retryable=False,
    ),
    "identity_refused": ClientErrorKind(
        "What stands before the server at {url} refused the request with status {status}.",
        "It answers with a page, as Cloud Run does to a caller whose Google identity is missing or not allowed.",
        "Give --iam, and ask for the role Cloud Run Invoker; elsewhere check --url (SLUICE_URL) and SLUICE_API_KEY.",
        retryable=False,
    ),
    "no_identity_token": ClientErrorKind(
        "There is no Google identity to call {url} with.",
        "{problem}",
        "Run `gcloud auth login`, or set GOOGLE_APPLICATION_CREDENTIALS and `pip install 'sluice[iam]'`; then try again.",
        retryable=False,
    ),
    "models_unlisted": ClientErrorKind(
        "The server at {url} does not list its models.",
        "It has no route that tells them, so one cannot be chosen for you.",
        "Name one with --agent (SLUICE_AGENT).",
        retryable=False,
    ),
    "invalid_reply": ClientErrorKind(
        "The server sent something that cannot be understood.",
        "Its reply has no valid `{name}`, which this version of Sluice needs.",
        "Try again; if it stays so, see whether terminal and server are of versions that fit.",
    ),
    "server_error": ClientErrorKind(
        "The server at {url} failed with status {status}.",
        "It, or a proxy in front of it, could not serve the request.",
        "Try again in a moment; if it stays so, ask whoever runs the server.",
    ),
    "read_timeout": ClientErrorKind(
        "The server was silent for {seconds} s.",
        "The connection is open, but neither text nor a sign of life came.",
        "Try again; what was received so far is not the whole answer.",
    ),
    "connection_lost": ClientErrorKind(
        "The connection broke.",
        "The server, or the network between, closed it before the answer was complete.",
        "Try again; what was received so far is not the whole answer.",
    ),
    "ask_timeout": ClientErrorKind(
        "The answer was not whole after {seconds} s.",
        "That is as long as --timeout (timeout in config.toml) lets it take.",
        "Allow more time, or ask for a shorter answer; what was received so far is not the whole answer.",
    ),
    "answer_truncated": ClientErrorKind(
        "The answer broke off.",
        "The stream ended without saying that the answer was finished.",
        "Try again; what was received so far is not the whole answer.",
    ),
    "answer_failed": ClientErrorKind(
        "The server reported an error in the middle of the answer.",
        "The model, or what serves it, failed.",
        "Try again; what was received so far is not the whole answer.",
    ),
    "answer_too_long": ClientErrorKind(
        "The answer is too long.",
        "It has more than four million characters, and this terminal keeps the whole of it in memory.",
        "Ask for less at a time; what was received so far is kept.",
        retryable=False,
    ),
    "stream_gone": ClientErrorKind(
        "The answer cannot be continued.",
        "The server keeps answers for a while only, and ends those that nobody reads.",
        "Try again to ask the question anew.",
    ),
    "invalid_stream": ClientErrorKind(
        "The server sent something that is not a valid answer.",
        "Its stream is not the events that OpenAI's API promises.",
        "Try again; if it stays so, check --url (SLUICE_URL) or use another model.",
    ),
    "request_impossible": ClientErrorKind(
        "The request to {url} could not be made.",
        "The address or the API key holds characters that HTTP does not allow.",
        "Check --url (SLUICE_URL) and SLUICE_API_KEY.",
        retryable=False,
    ),
    "no_conversations": ClientErrorKind(
        "The server at {url} keeps no conversations.",
        "Only Sluice stores them; this is another server, or its agents are another's.",
        "Leave --conversation away, or name a Sluice service with --url (SLUICE_URL).",
        retryable=False,
    ),
    "no_agents": ClientErrorKind(
        "The server at {url} offers no model.",
        "Its list of models is empty.",
        "Name one with --agent (SLUICE_AGENT), or ask whoever runs the server.",
        retryable=False,
    ),
    "port_taken": ClientErrorKind(
        "Sluice cannot listen on {place}.",
        "{problem}.",
        "Give another --port (0 for any free one) or --host, or end what listens there.",
        retryable=False,
    ),
    "function_not_installed": ClientErrorKind(
        "The local function is not installed.",
        "Without --url the terminal starts Sluice's own function, and its packages are missing here.",
        "Install them with `pip install 'sluice[service]'`, or name a server with --url (SLUICE_URL).",
        retryable=False,
    ),
    "function_failed": ClientErrorKind(
        "The local function did not start.",
        "It ended before it could answer. Its last words: {words}",
        "Correct what it complains about and try again, or name a server with --url (SLUICE_URL).",
    ),
    "function_timeout": ClientErrorKind(
        "The local function did not answer within {seconds} s.",
        "It runs, but is not ready. Its last words: {words}",
        "Try again, or name a server with --url (SLUICE_URL).",
    ),
}
"""Every code that the terminal itself can report, in the order in which a request can meet them."""
