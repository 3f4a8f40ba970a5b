"""Which value counts: an option's, else the environment's, else the file's.

Between the tables of the file a profile wins over the top. A profile that was named by --profile was asked for as
expressly as any option, so its values win over the environment; one named by SLUICE_PROFILE or default_profile do not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from sluice_tui.config.file import ConfigFile, read, unknown
from sluice_tui.config.key_source import KeySource, given, in_file, printed_by
from sluice_tui.config.problem import ConfigError
from sluice_tui.config.settings import DEFAULT_PROFILE, PROFILES, SETTINGS
from sluice_tui.paths import given_path

CONFIG, PROFILE, API_KEY = "SLUICE_CONFIG", "SLUICE_PROFILE", "SLUICE_API_KEY"


@dataclass(frozen=True, slots=True)
class Layer:
    """Values of one origin; `origins` says where each of them stands."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What counts. `values` has only what was set; `origins` says where. `key` is fetched when it is needed."""

    path: Path
    profile: str | None
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    key: KeySource | None = None
    notes: tuple[str, ...] = field(default=())
    """What was set and is not used, and why."""

    def get(self, name: str) -> Any:
        """A setting's value, None where it is not set."""
        return self.values.get(name)


def config_path(environment: Mapping[str, str]) -> Path:
    """Where the file is: as SLUICE_CONFIG says, else in the user's folder for settings."""
    named = environment.get(CONFIG)
    return given_path(named) if named else user_config_path("sluice") / "config.toml"


def effective(options: Mapping[str, Any], environment: Mapping[str, str]) -> Configuration:
    """What counts, where `options` are those given on the command line, by their settings' names.

    `profile` and `api_key` are read too. Raises ConfigError.
    """
    file = read(config_path(environment))
    name, origin = _profile(options, environment, file)
    layers = _layers(options, environment, file, name)
    values, origins, notes = _merged(layers)
    if name:
        origins["profile"] = origin
    home = next((layer for layer in layers if "url" in layer.values), None)
    key = _key(options, environment, home)
    return Configuration(file.path, name, values, origins, key, tuple(notes))


def _profile(options: Mapping[str, Any], environment: Mapping[str, str], file: ConfigFile) -> tuple[str | None, str]:
    chosen = (options.get("profile"), "--profile"), (environment.get(PROFILE), PROFILE)
    default = (file.default_profile, f"{DEFAULT_PROFILE}, {file.told(DEFAULT_PROFILE)}")
    name, origin = next(((name, origin) for name, origin in (*chosen, default) if name), (None, ""))
    if name is not None and name not in file.profiles:
        raise ConfigError(f"{origin}: {unknown('profile', name, file.profiles)} The profiles stand in {file.path}.")
    return name, origin


def _layers(
    options: Mapping[str, Any], environment: Mapping[str, str], file: ConfigFile, profile: str | None
) -> list[Layer]:
    given_options = {name: options[name] for name in SETTINGS if options.get(name) is not None}
    tables = [_table(file, file.top)]
    if profile:
        tables.insert(0, _table(file, file.profiles[profile], PROFILES, profile))
    layers = [Layer(given_options, {name: f"--{name}" for name in given_options}), _from_environment(environment), *tables]
    if options.get("profile"):
        layers[1], layers[2] = layers[2], layers[1]
    return layers


def _table(file: ConfigFile, values: Mapping[str, Any], *tables: str) -> Layer:
    within = f"[{'.'.join(tables)}], " if tables else ""
    return Layer(values, {name: within + file.told(*tables, name) for name in values})


def _from_environment(environment: Mapping[str, str]) -> Layer:
    variables = {name: setting.variable for name, setting in SETTINGS.items() if setting.variable}
    values = {}
    for name, variable in variables.items():
        if environment.get(variable):
            try:
                values[name] = SETTINGS[name].checked(environment[variable])
            except ValueError as problem:
                raise ConfigError(f"{variable} {problem}.") from None
    return Layer(values, variables)


def _merged(layers: list[Layer]) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    home = next((number for number, layer in enumerate(layers) if "url" in layer.values), None)
    values, origins, notes = dict[str, Any](), dict[str, str](), list[str]()
    for number, layer in enumerate(layers):
        for name in layer.values.keys() - values.keys():
            if SETTINGS[name].only_with_own_url and number not in (0, home):
                notes.append(f"{name} ({layer.origins[name]}) is not used: it goes only to the url of its own table.")
                continue
            values[name], origins[name] = layer.values[name], layer.origins[name]
    return values, origins, notes


def _key(options: Mapping[str, Any], environment: Mapping[str, str], home: Layer | None) -> KeySource | None:
    return next(_keys(options, environment, home), None)


def _keys(options: Mapping[str, Any], environment: Mapping[str, str], home: Layer | None) -> Iterator[KeySource]:
    if options.get("api_key"):
        yield given(options["api_key"].strip(), "--api-key")
    beside_url = list(_beside_url(home)) if home else []
    if options.get("profile"):
        yield from beside_url
    if environment.get(API_KEY, "").strip():
        yield given(environment[API_KEY].strip(), API_KEY)
    yield from beside_url


def _beside_url(home: Layer) -> Iterator[KeySource]:
    if "key_file" in home.values:
        yield in_file(home.values["key_file"], home.origins["key_file"])
    if "key_command" in home.values:
        yield printed_by(home.values["key_command"], home.origins["key_command"])
