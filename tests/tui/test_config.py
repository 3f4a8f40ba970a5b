"""Options, environment and config.toml: which value counts, where a key may go, and how a mistake is told."""

import stat
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_tui.config.effective import effective
from sluice_tui.config.file import read
from sluice_tui.config.key_source import in_file, printed_by
from sluice_tui.config.problem import ConfigError
from sluice_tui.config.settings import SETTINGS
from sluice_tui.config.template import TEMPLATE
from sluice_tui.key_names import KEYS, checked_keys
from tests.tui.command import sluice
from tests.tui.fake_openai import FakeOpenAI

FILE = """\
agent = "top"

[profiles.work]
agent = "work"
url = "https://work.test"
key_file = "{key}"
iam = true

[profiles.other]
url = "https://other.test"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("sk-of-work\nnot this\n")
    path = tmp_path / "config.toml"
    path.write_text(FILE.format(key=tmp_path / "key"))
    return path


def at(path: Path, **more: str) -> dict[str, str]:
    return {"SLUICE_CONFIG": str(path), **more}


# -- which value counts


@pytest.mark.parametrize(("option", "variable", "profile"), list(product([True, False], repeat=3)))
def test_an_option_wins_over_the_environment_that_over_the_profile_and_that_over_the_top(
    path: Path, option: bool, variable: bool, profile: bool
) -> None:
    environment = at(
        path, **({"SLUICE_AGENT": "env"} if variable else {}), **({"SLUICE_PROFILE": "work"} if profile else {})
    )

    found = effective({"agent": "given"} if option else {}, environment)

    expected = "given" if option else "env" if variable else "work" if profile else "top"
    assert found.get("agent") == expected


def test_a_profile_that_an_option_names_wins_over_the_environment(path: Path) -> None:
    found = effective(
        {"profile": "work"}, at(path, SLUICE_AGENT="env", SLUICE_URL="http://env.test", SLUICE_API_KEY="sk-env")
    )

    assert (found.get("agent"), found.get("url")) == ("work", "https://work.test/v1")
    assert found.key
    assert found.key.reveal() == "sk-of-work"


def test_the_files_own_default_profile_is_taken_where_none_is_named(path: Path) -> None:
    path.write_text('default_profile = "work"\n' + path.read_text())

    assert effective({}, at(path)).profile == "work"
    assert effective({}, at(path, SLUICE_PROFILE="other")).profile == "other"
    assert effective({"profile": "other"}, at(path, SLUICE_PROFILE="work")).profile == "other"


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    found = effective({}, at(tmp_path / "none.toml"))

    assert (dict(found.values), found.key, found.profile) == ({}, None, None)


# -- where a key may go


@pytest.mark.parametrize("elsewhere", [{"url": "http://evil.test/v1"}, {}])
def test_what_proves_who_the_user_is_goes_only_to_the_address_beside_it(path: Path, elsewhere: dict[str, str]) -> None:
    environment = at(path, SLUICE_PROFILE="work", **({} if elsewhere else {"SLUICE_URL": "http://evil.test"}))

    found = effective(elsewhere, environment)

    assert found.get("url") == "http://evil.test/v1"
    assert found.key is None
    assert found.get("iam") is None
    assert any(note.startswith("key_file") for note in found.notes)


def test_a_key_in_the_environment_or_on_the_command_line_is_for_any_address(path: Path) -> None:
    named = effective({}, at(path, SLUICE_PROFILE="other", SLUICE_API_KEY=" sk-env\n"))
    given_too = effective({"api_key": "sk-given"}, at(path, SLUICE_PROFILE="work", SLUICE_API_KEY="sk-env"))

    assert named.key
    assert given_too.key
    assert (named.key.reveal(), given_too.key.reveal()) == ("sk-env", "sk-given")


def test_a_key_is_the_first_line_of_a_file_or_of_what_a_command_prints(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1\nmore\n")

    assert in_file(str(tmp_path / "key"), "here").reveal() == "sk-1"
    assert printed_by(SETTINGS["key_command"].checked("printf 'sk-2\\nmore'"), "here").reveal() == "sk-2"
    assert printed_by(["printf", "sk 3"], "here").reveal() == "sk 3"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["sh", "-c", "echo sk-secret; exit 3"], "failed with exit code 3"),
        (["/nonexistent/pass"], "cannot be run: No such file or directory"),
        (["true"], "there is no key in it"),
    ],
)
def test_a_command_that_gives_no_key_is_told_without_what_it_printed(command: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        printed_by(command, "config.toml:4").reveal()

    assert str(caught.value).startswith("config.toml:4: ")
    assert "sk-secret" not in str(caught.value)


def test_the_key_of_a_profile_reaches_its_server_and_no_output(path: Path, server: FakeOpenAI, tmp_path: Path) -> None:
    path.write_text(f'[profiles.here]\nurl = "{server.url}"\nkey_file = "{tmp_path / "key"}"\n')

    asked = sluice("ask", "hi", "--profile", "here", **at(path))
    shown = sluice("config", "--profile", "here", **at(path))

    assert server.completions[0].headers["authorization"] == "Bearer sk-of-work"
    assert "sk-of-work" not in asked.stdout + asked.stderr + shown.stdout + shown.stderr
    assert f"set, not shown    ([profiles.here], {path}:3, key_file" in shown.stdout


# -- mistakes

MISTAKES = {
    "a misspelt setting": ('\nagnet = "x"', '{path}:2: unknown setting "agnet"; did you mean "agent"?'),
    "one in a profile": (
        '[profiles.a]\n\nurll = "x"',
        '{path}:3: unknown setting "urll" in [profiles.a]; did you mean "url"?',
    ),
    "a key in the file": ('api_key = "sk-x"', '{path}:1: "api_key" is not a setting; give key_file or key_command instead.'),
    "a wrong type": ('timeout = "soon"', "{path}:1: timeout must be a number of seconds, above 0 and at most 86400."),
    "a switch in words": ('iam = "yes"', "{path}:1: iam must be true or false."),
    "no address": ('url = "localhost:80"', "{path}:1: url is not an address: it must start with http:// or https://"),
    "a command that ends in a quote": (
        'key_command = "pass \'x"',
        "{path}:1: key_command must be a command, which",
    ),
    "a command of spaces": ('key_command = "  "', "{path}:1: key_command must be a command: a text, or a list of texts."),
    "a path with NUL": ('key_file = "a\\u0000b"', "{path}:1: key_file must be a text in quotes, not empty and without NUL."),
    "an unknown key": ('[keys]\nnwe = "ctrl+n"', '{path}:2: unknown key "nwe" in [keys]; did you mean "new"?'),
    "what is no key": ('[keys]\nnew = "foo+bar"', '{path}:1: keys must not have "foo+bar", which is no key to give'),
    "a key that writes": ('[keys]\nnew = "x"', '{path}:1: keys must not have "x", which is no key to give'),
    "a key given twice": ('[keys]\nagent = "ctrl+o"', 'must not give "ctrl+o" to agent: it is there for conversations'),
    "a key that is taken": ('[keys]\nnew = "ctrl+c"', 'must not give "ctrl+c" to new: it is there for what it always does'),
    "no such profile": ('default_profile = "wrok"\n[profiles.work]', 'unknown profile "wrok"; did you mean "work"?'),
    "no TOML": ("agent = demo", "{path} is not TOML: Invalid value (at line 1, column 9). A text stands in quotes."),
    "profiles that are none": ("profiles = 3", "{path}:1: profiles are tables, such as [profiles.work]."),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_line_and_what_is_meant(path: Path, text: str, told: str) -> None:
    path.write_text(text)

    ended = sluice("ask", "hi", **at(path))

    assert (ended.returncode, ended.stdout) == (2, "")
    assert told.format(path=path) in ended.stderr
    assert "sk-x" not in ended.stderr


def test_keys_are_spelt_as_they_are_told_and_may_change_places(path: Path) -> None:
    path.write_text('[keys]\nsend = "Ctrl+S, enter"\nexport = "shift+alt+E"\nnew = "ctrl+o"\nconversations = "ctrl+n"\n')

    keys = effective({}, at(path)).get("keys")

    assert keys == {"send": "ctrl+s,enter", "export": "alt+shift+e", "new": "ctrl+o", "conversations": "ctrl+n"}


def test_the_usual_keys_can_all_be_given() -> None:
    usual = {name: key.keys for name, key in KEYS.items()}

    assert checked_keys(usual) == usual


def test_a_home_of_nobody_is_a_path_like_any_other(path: Path, server: FakeOpenAI) -> None:
    path.write_text(f'url = "{server.url}"\nkey_file = "~no-such-user/key"\n')

    for ended in (
        sluice("ask", "hi", **at(path)),
        sluice("ask", "hi", "-f", "~no-such-user/x", SLUICE_CONFIG="~no-such-user/c"),
    ):
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "cannot be read: No such file or directory" in ended.stderr


def test_what_a_file_holds_cannot_steer_the_terminal(path: Path) -> None:
    path.write_text('system = "a\\u001b]0;owned\\u0007"\n')
    shown = sluice("config", **at(path))
    path.write_text('"x\\u001b[2J" = 1\n')
    refused = sluice("config", **at(path))

    assert "a␛]0;owned␇" in shown.stdout
    assert "x␛[2J" in refused.stderr
    assert "\x1b" not in shown.stdout + refused.stderr


def test_every_mistake_of_a_file_is_told_at_once(path: Path) -> None:
    path.write_text('agnet = "x"\n[profiles.a]\niam = 1\n')

    assert sluice("config", **at(path)).stderr.count("\n") == 2


@pytest.mark.parametrize(("options", "variables"), [(("--profile", "wrok"), {}), ((), {"SLUICE_PROFILE": "wrok"})])
def test_a_profile_that_is_not_there_is_told(path: Path, options: tuple[str, ...], variables: dict[str, str]) -> None:
    ended = sluice("config", *options, **at(path, **variables))

    assert ended.returncode == 2
    assert 'unknown profile "wrok"; did you mean "work"?' in ended.stderr


@settings(deadline=None)
@given(data=st.binary(max_size=200) | st.text(alphabet="[].\"=#\n ab\\'profiles", max_size=60).map(str.encode))
def test_no_file_whatever_is_in_it_is_more_than_told(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)

    try:
        read(path)
    except ConfigError as problem:
        assert str(path) in str(problem)  # noqa: PT017 -- most of them are right


# -- sluice config


def test_config_shows_every_value_with_its_origin(path: Path) -> None:
    shown = sluice("config", "--agent", "given", **at(path, SLUICE_PROFILE="work", SLUICE_API_KEY="sk-secret-1234")).stdout

    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert lines["agent"].endswith("given    (--agent)")
    assert lines["url"].endswith(f"https://work.test/v1    ([profiles.work], {path}:5)")
    assert lines["profile"].endswith("work    (SLUICE_PROFILE)")
    assert lines["api_key"].endswith("set, not shown    (SLUICE_API_KEY)")
    assert lines["iam"].split()[1] == "True"
    assert "1234" not in shown


def test_config_path_tells_where_the_file_is_and_init_writes_one_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"

    assert sluice("config", "path", **at(path)).stdout == f"{path}\n"
    written, again = sluice("config", "init", **at(path)), sluice("config", "init", **at(path))

    assert (written.returncode, again.returncode) == (0, 2)
    assert "was not touched" in again.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sluice("config", **at(path)).returncode == 0


def test_what_init_writes_is_right_once_it_is_in_force(path: Path) -> None:
    path.write_text("\n".join(line.removeprefix("# ") for line in TEMPLATE.splitlines()[3:]))

    file = read(path)

    assert file.top.keys() == SETTINGS.keys()
    assert file.profiles.keys() == {"work", "ollama"}
