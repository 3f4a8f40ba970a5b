"""The settings, and the only reader of the environment.

Every field's docstring gives meaning, unit and default; `.env.example` is generated from them.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.request import getproxies_environment

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

RESERVED_THREADS = 32
"""Threads beyond the stream slots: for /health, refusals and bodies that arrive slowly."""

_SECRET_NAME = re.compile(r"(KEY|KEYS|TOKEN|SECRET|PASSWORD|REDIS_URL)$")

DEFAULT_THREADS = 1000 + RESERVED_THREADS


class SettingsError(Exception):
    """A setting does not have an allowed value; the message names the variable, the value and what is allowed."""


class KeyLimits(BaseModel):
    """One key's own limits; the settings' where they are not given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: Annotated[int, Field(ge=1)] | None = None
    messages_per_hour: Annotated[int, Field(ge=1)] | None = None


class KeySpec(BaseModel):
    """One API key as it is stored: its SHA-256, whose it is and what it may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: Annotated[str, Field(min_length=1, max_length=128)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
    agents: tuple[str, ...] = ("*",)
    limits: KeyLimits = KeyLimits()


class Settings(BaseModel):
    """What can be set from outside. Values out of range stop the start; see `load`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_keys: SecretStr | None = None
    """Who may call: a JSON array of {"user", "sha256", "agents"?, "limits"?}, sha256 being that of the key in hex.
    With neither this nor API_KEYS_FILE every call is refused."""
    api_keys_file: Path | None = None
    """The same array in a file."""
    agents_file: Path | None = None
    """The agents to offer; the packaged agents.toml when unset."""
    openai_api_key: SecretStr | None = None
    """The key for the provider named openai. Without it, and without another provider, only the demo agent is offered."""
    openai_base_url: str | None = None
    """The address of the provider named openai, ending in /v1 as a rule; wins over agents.toml."""
    openai_model: str | None = None
    """The model of the agent `assistant`; wins over agents.toml."""
    demo_agent: bool = True
    """Offer the offline demo agent."""
    demo_tokens_per_second: Annotated[float, Field(gt=0, le=100_000)] = 50
    """The demo agent's speed."""
    demo_first_token_ms: Annotated[float, Field(ge=0, le=600_000)] = 200
    """How long the demo agent thinks, in milliseconds."""
    chunk_size_min: Annotated[int, Field(ge=1, le=10_000)] = 8
    """The smallest piece, in graphemes, into which an answer that arrives whole is cut."""
    chunk_size_max: Annotated[int, Field(ge=1, le=10_000)] = 32
    """The largest such piece, in graphemes."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 180
    """How long one answer may take in all. Cloud Run's own --timeout must be longer."""
    first_token_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    """How long a model may take to begin its answer; an agent can set its own."""
    idle_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    """How long a model may fall silent inside its answer; an agent can set its own."""
    heartbeat_seconds: Annotated[float, Field(gt=0, le=60)] = 10
    """How long a stream may be silent before a comment is sent, and how long the status line waits for the model."""
    enable_streaming: bool = True
    """Answer streamed requests. Off: they are refused with `streaming_disabled`, plain ones go on."""
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] = 2_000
    """The default and the ceiling of /chat's max_tokens."""
    streams_per_user: Annotated[int, Field(ge=1, le=100_000)] = 10
    """How many streams a user may have at once, unless the key says otherwise."""
    messages_per_hour: Annotated[int, Field(ge=1, le=100_000)] = 100
    """How many turns a user may begin within an hour, unless the key says otherwise."""
    conversations: str = "sqlite://"
    """Where conversations are kept: sqlite:///file.db, sqlite:// (in memory), or firestore://[project[/database]]."""
    resume_grace_seconds: Annotated[float, Field(ge=0, le=3600)] = 30
    """How long a stream goes on without any reader before its model call is cancelled; 0 cancels at once."""
    resume_ttl_seconds: Annotated[float, Field(ge=0, le=86_400)] = 600
    """How long a stream can be resumed after its end."""
    max_stream_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 8 << 20
    """How much upstream may send for one answer, in bytes."""
    max_log_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 36)] = 128 << 20
    """How much memory the logs of all streams may take together, in bytes."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 28)] = 8 << 20
    """The largest request body, in bytes."""
    ticket_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    """What tickets are signed with, at least 16 characters, the same on every instance.
    Random for each process when unset: a ticket is then good on one instance only, until it stops."""
    redis_url: SecretStr | None = None
    """Redis (or Valkey, or Memorystore) through which instances share streams, like redis://host:6379/0.
    Without it a stream can be continued on its own instance only."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call, separated by commas, each like https://example.org; * for any."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severe entries that are written. Those that metrics are made from always are: response_complete,
    error_occurred, save_failed."""
    log_content: bool = False
    """Write messages and answers into the log. Off: content never reaches it."""
    google_cloud_project: str | None = None
    """The project in trace names; Cloud Run's own is used when it is known."""
    k_service: str | None = None
    """Set by Cloud Run: entries are then written for Cloud Logging."""
    threads: Annotated[int, Field(gt=RESERVED_THREADS, le=8192)] = DEFAULT_THREADS
    """The server's threads; 32 of them are kept in reserve, the rest is how many requests are served at once."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Where the function listens."""

    @property
    def capacity(self) -> int:
        """How many requests are served at once."""
        return self.threads - RESERVED_THREADS

    def keys(self) -> tuple[KeySpec, ...]:
        """The keys of API_KEYS and API_KEYS_FILE together. Raises SettingsError, which never shows a value."""
        return (*_keys("API_KEYS", self._inline_keys()), *_keys("API_KEYS_FILE", self._file_keys()))

    def _inline_keys(self) -> str:
        return self.api_keys.get_secret_value() if self.api_keys else "[]"

    def _file_keys(self) -> str:
        if self.api_keys_file is None:
            return "[]"
        try:
            return self.api_keys_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"API_KEYS_FILE cannot be read: {error}") from error


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in an environment.

    Raises SettingsError with a line for each variable that is not as it should be: its name, its value (masked when it
    is secret) and what is allowed.
    """
    known = {name: environment[name.upper()] for name in Settings.model_fields if environment.get(name.upper())}
    values: dict[str, Any] = dict(known)
    if "cors_origins" in known:
        values["cors_origins"] = tuple(part.strip() for part in known["cors_origins"].split(",") if part.strip())
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_complaint(problem) for problem in error.errors())) from None
    url = settings.redis_url.get_secret_value() if settings.redis_url else "redis://"
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise SettingsError("REDIS_URL is (hidden): it must begin with redis://, rediss:// or unix://.")
    if settings.chunk_size_min > settings.chunk_size_max:
        raise SettingsError("CHUNK_SIZE_MIN must not be larger than CHUNK_SIZE_MAX.")
    settings.keys()
    return settings


def secret(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The value of a variable that agents.toml names (`api_key_env`); None when it is unset or empty."""
    return environment.get(name) or None


def proxies() -> dict[str, str]:
    """The proxies that the environment names, by the scheme of what is behind them; NO_PROXY as `no`, ALL_PROXY as `all`."""
    return getproxies_environment()


def secret_values(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The values that must never be seen: of every variable whose name says so, ours and those that agents.toml names."""
    return tuple(value for name, value in environment.items() if _SECRET_NAME.search(name))


def _complaint(problem: Any) -> str:
    name = str(problem["loc"][0])
    field = Settings.model_fields[name]
    shown = "(hidden)" if "SecretStr" in str(field.annotation) else repr(problem["input"])
    return f"{name.upper()} is {shown}: {problem['msg']}."


def _keys(source: str, text: str) -> tuple[KeySpec, ...]:
    try:
        entries = json.loads(text)
        if not isinstance(entries, list):
            raise SettingsError(f"{source} is not a JSON array of keys.")
        return tuple(KeySpec.model_validate(entry) for entry in entries)
    except ValueError as error:
        where = error.errors()[0] if isinstance(error, ValidationError) else None
        detail = f"{'.'.join(map(str, where['loc']))}: {where['msg']}" if where else "it is not valid JSON"
        raise SettingsError(f"{source} does not hold keys as it should ({detail}).") from None
