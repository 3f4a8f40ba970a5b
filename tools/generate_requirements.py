"""Write function/requirements.txt and constraints.txt: every package pinned, also those that others bring along.

The dependencies are declared in pyproject.toml alone. What is pinned is what is installed beside this interpreter, so
what was tested is what is deployed; `make requirements` installs first and then runs this. One list serves every
supported environment: a package that any of them needs is in it.
"""

import itertools
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


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    service = pins(extras["service"], "the service")
    everything = pins([*project["dependencies"], *extras["service"], *extras["dev"]], "pyproject.toml")
    script = Path(__file__).name
    texts = {
        "function/requirements.txt": f"# Written by tools/{script} from pyproject.toml's extra `service`.\n",
        "constraints.txt": f"# Written by tools/{script} from pyproject.toml, for the development environment.\n",
    }
    for (path, head), chosen in zip(texts.items(), (service, everything), strict=True):
        texts[path] = head + "".join(f"{line}\n" for line in lines(chosen))
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


def lines(found: Pins) -> list[str]:
    """One line for each package: its exact version, and what needs it."""
    return [f"{name}=={metadata.version(name)}  # for {', '.join(sorted(found[name]))}" for name in sorted(found)]


if __name__ == "__main__":
    sys.exit(main())
