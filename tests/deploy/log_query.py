"""The part of Google's filter languages that deploy/monitoring uses, parsed and evaluated; anything else is an error.

Cloud Logging's query language: comparisons `field op value` with `=`, `!=`, `<`, `<=`, `>`, `>=` and `field:*` (it exists),
joined by AND, OR, NOT, parentheses and line ends, which mean AND. Cloud Monitoring's filters are of the same form. Stricter
than Google where its rules surprise: AND and OR need parentheses between them, and `!=` a field that the entry has.

Sources: Cloud Logging, "Logging query language"; Cloud Monitoring, "Monitoring filters".
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")

_TOKEN = re.compile(
    r"""\s*(?:(?P<line>\n)|(?P<word>AND\b|OR\b|NOT\b|[()])|(?P<field>[A-Za-z_][\w.]*(?:"[^"\\]+")?)
    |(?P<op>!=|<=|>=|=|<|>|:\*)|(?P<value>"[^"\\]*"|-?\d+(?:\.\d+)?))""".replace(r"\s*", r"[^\S\n]*", 1),
    re.VERBOSE,
)
_FIELDS = re.compile(
    r"""resource\.type|resource\.labels\.\w+|labels\.\w+|severity|httpRequest\.(?:requestMethod|requestUrl|status|latency)
    |jsonPayload(?:\.\w+)+|jsonPayload\."[^"]+" """.strip(),
    re.VERBOSE,
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}

Entry = Mapping[str, Any]
Test = Callable[[Entry], bool]


class QueryError(Exception):
    """What is wrong with a query, or with an entry that it cannot decide."""


@dataclass(frozen=True)
class Comparison:
    """`field op value`; the value of `:*` is None."""

    field: str
    op: str
    value: str | float | bool | None


def parse(text: str, fields: re.Pattern[str] = _FIELDS) -> tuple[Test, list[Comparison]]:
    """The query as a test of an entry, and all comparisons in it. Raises QueryError for what is not understood."""
    parser = _Parser(_tokens(text), fields)
    test = parser.all_of()
    if parser.tokens:
        raise QueryError(f"{parser.tokens[0]!r} is not expected in {text!r}")
    return test, parser.comparisons


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    text, place = text.strip(), 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise QueryError(f"not understood: {text[place : place + 30]!r}")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        place = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], fields: re.Pattern[str]) -> None:
        self.tokens = tokens
        self.comparisons: list[Comparison] = []
        self._fields = fields

    def all_of(self) -> Test:
        tests = [self.term()]
        joined = set()
        while self.tokens and self.tokens[0] != ("word", ")"):
            kind, word = self.tokens.pop(0)
            if kind != "line" and word not in ("AND", "OR"):
                raise QueryError(f"AND or OR is missing before {word!r}")
            joined.add("AND" if kind == "line" else word)
            tests.append(self.term())
        if len(joined) > 1:
            raise QueryError("AND and OR are mixed without parentheses")
        whole = any if joined == {"OR"} else all
        return lambda entry: whole(test(entry) for test in tests)

    def term(self) -> Test:
        kind, word = self._next()
        if word == "NOT":
            inner = self.term()
            return lambda entry: not inner(entry)
        if word == "(":
            inner = self.all_of()
            if self._next()[1] != ")":
                raise QueryError("a parenthesis is not closed")
            return inner
        if kind != "field" or not self._fields.fullmatch(word):
            raise QueryError(f"{word!r} is no field that is known here")
        return self._comparison(word)

    def _comparison(self, field: str) -> Test:
        kind, op = self._next()
        if kind != "op":
            raise QueryError(f"{op!r} after {field} is no comparison")
        comparison = Comparison(field, op, None if op == ":*" else _literal(*self._next()))
        self.comparisons.append(comparison)
        return lambda entry: _holds(comparison, entry)

    def _next(self) -> tuple[str, str]:
        while self.tokens:
            token = self.tokens.pop(0)
            if token[0] != "line":
                return token
        raise QueryError("the query ends too soon")


def _literal(kind: str, word: str) -> str | float | bool:
    if kind == "value":
        return word[1:-1] if word.startswith('"') else float(word)
    if word in ("true", "false"):
        return word == "true"
    if word in SEVERITIES:
        return word
    raise QueryError(f"{word!r} is no value: texts are quoted")


def _holds(comparison: Comparison, entry: Entry) -> bool:
    left, right = value_of(comparison.field, entry), comparison.value
    if left is None or comparison.op == ":*":
        if comparison.op == "!=":
            raise QueryError(f"{comparison.field} is missing, and != of nothing is a trap")
        return left is not None
    if comparison.field == "severity":
        left, right = SEVERITIES.index(left), SEVERITIES.index(str(right))
    elif isinstance(left, bool) is not isinstance(right, bool) or isinstance(left, str) is not isinstance(right, str):
        raise QueryError(f"{comparison} compares with {left!r}, which is of another type")
    return _COMPARE[comparison.op](left, right)


def value_of(field: str, entry: Entry) -> Any:
    """What the entry has at a path; None when it has nothing there."""
    path, quoted, last = field.partition('."')
    value: Any = entry
    for name in [*path.split("."), *([last.removesuffix('"')] if quoted else [])]:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def extract(extractor: str, entry: Entry) -> str | None:
    """The value of `EXTRACT(field)` or `REGEXP_EXTRACT(field, "regex")`, as text; None where there is nothing."""
    match = re.fullmatch(
        r'(?:EXTRACT\((?P<whole>[^,()]+)\)|REGEXP_EXTRACT\((?P<part>[^,()]+), "(?P<regex>.+)"\))', extractor
    )
    if match is None:
        raise QueryError(f"{extractor!r} is no extractor")
    field = match["whole"] or match["part"]
    if not _FIELDS.fullmatch(field):
        raise QueryError(f"{field!r} is no field that is known here")
    pattern = re.compile(match["regex"] or "(.*)")
    if pattern.groups != 1:
        raise QueryError(f"{extractor!r} has to have exactly one group")
    value = value_of(field, entry)
    if value is None:
        return None
    found = pattern.search(str(value).lower() if isinstance(value, bool) else str(value))
    return found[1] if found else None


def entry_of(line: str | Mapping[str, Any], service: str) -> dict[str, Any]:
    """A line of the function's log as Cloud Logging's entry: special fields leave the payload.

    Source: Cloud Logging, "Structured logging", "Special fields in structured payloads".
    """
    document = dict(json.loads(line) if isinstance(line, str) else line)
    special = {
        name: document.pop(key)
        for key, name in (("severity", "severity"), ("time", "timestamp"), ("httpRequest", "httpRequest"))
        if key in document
    }
    labels = document.pop("logging.googleapis.com/labels", {})
    rest = {key: value for key, value in document.items() if not key.startswith("logging.googleapis.com/")}
    resource = {"type": "cloud_run_revision", "labels": {"service_name": service}}
    return {"severity": "DEFAULT", **special, "resource": resource, "labels": labels, "jsonPayload": rest}
