"""Write function/requirements.txt and constraints.txt: every package pinned, also those that others bring along.

The dependencies are declared in pyproject.toml alone. What is pinned is what is installed beside this interpreter, so
what was tested is what is deployed; `make requirements` installs first and then runs this. One list serves every
supported environment: a package that any of them needs is in it, with the hashes of all files of its version, since
another Python on another machine installs other ones.
"""

import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from generated import ROOT, write_or_check

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (("linux", "Linux"), ("darwin", "Darwin"))

Environment = dict[str, str]
Pins = dict[str, set[str]]
"""Package names, each with the names of those that need it; pyproject.toml itself is one of them."""

Hashes = dict[str, list[str]]
"""By pin, like `flask==3.1.3`: what pip wants to see of the files it may install, like `sha256:…`."""

REQUIREMENTS = "function/requirements.txt"
_PINNED = re.compile(r"(?m)^(\S+==\S+)((?: \\\n +--hash=\S+)+)")


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    service = pins(extras["service"], "the service")
    everything = pins([*project["dependencies"], *extras["service"], *extras["dev"]], "pyproject.toml")
    script = Path(__file__).name
    texts = {
        REQUIREMENTS: f"# Written by tools/{script} from pyproject.toml's extra `service`.\n" + hashed(service),
        "constraints.txt": f"# Written by tools/{script} from pyproject.toml, for the development environment.\n"
        + "".join(f"{pin(name)}  # {reason(name, everything)}\n" for name in sorted(everything)),
    }
    return write_or_check("Pin every package that pyproject.toml needs.", texts)


def pins(declared: Iterable[str], origin: str) -> Pins:
    """Every package that the declared ones need, in any supported environment."""
    found: Pins = {}
    for environment in environments():
        _walk(list(declared), origin, environment, found)
    return found


def environments() -> Iterator[Environment]:
    """The marker values of every environment that is supported."""
    here = {name: str(value) for name, value in default_environment().items()}
    for python, (platform, system) in itertools.product(PYTHONS, PLATFORMS):
        yield here | {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": platform,
            "platform_system": system,
        }


def _walk(declared: Iterable[str], origin: str, environment: Environment, found: Pins) -> None:
    waiting = [(Requirement(text), origin, "") for text in declared]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, parent, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate(environment | {"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        _require_installed(requirement, parent)
        found.setdefault(name, set()).add(parent)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(Requirement(text), name, wanted) for text in metadata.requires(name) or []]


def _require_installed(requirement: Requirement, parent: str) -> None:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        version = "not installed"
    if version == "not installed" or not requirement.specifier.contains(version, prereleases=True):
        sys.exit(f"{parent} needs {requirement}, and it is {version} here: run `make requirements`.")


def pin(name: str) -> str:
    """The package's exact version."""
    return f"{name}=={metadata.version(name)}"


def reason(name: str, found: Pins) -> str:
    """What needs it."""
    return f"for {', '.join(sorted(found[name]))}"


def hashed(found: Pins) -> str:
    """Every pin with what needs it and its hashes: those that are written already, and of new pins the index's."""
    known = hashes_in((ROOT / REQUIREMENTS).read_text(encoding="utf-8"))
    new = [pin(name) for name in found if pin(name) not in known]
    if new:
        # A check asks nobody: where hashes are missing, the file is stale whatever they are.
        known |= {name: ["missing"] for name in new} if "--check" in sys.argv else hashes_of(new)
    return "".join(
        f"# {reason(name, found)}\n" + " \\\n    --hash=".join([pin(name), *known[pin(name)]]) + "\n"
        for name in sorted(found)
    )


def hashes_of(wanted: Iterable[str]) -> Hashes:
    """The hashes of these pins, as the package index tells them."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "-", "--no-deps", "--generate-hashes", "--quiet"]
    told = subprocess.run(command, input="\n".join(wanted), check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words
    return hashes_in(told.stdout)


def hashes_in(text: str) -> Hashes:
    """The hashes in a list of requirements, by pin."""
    return {found[1]: re.findall(r"--hash=(\S+)", found[2]) for found in _PINNED.finditer(text)}


if __name__ == "__main__":
    sys.exit(main())
