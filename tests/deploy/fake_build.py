"""Cloud Build: takes a build as it checks one, and the build inside `gcloud run deploy --source`."""

import re
from typing import Any

from tests.deploy.refusing import Answer, Call, require

PROJECT = "a-project"
_BUILD = f"projects/{PROJECT}/locations/europe-west1/builds/b1"
_IMAGE = {"name": "europe-west1-docker.pkg.dev/p/r/i", "digest": "sha256:" + 64 * "a"}
_BUILT = {
    "id": "b1",
    "projectId": PROJECT,
    "name": _BUILD,
    "status": "SUCCESS",
    "logUrl": "http://log.test/",
    "results": {"images": [_IMAGE]},
}
_BUILD_TYPE = "type.googleapis.com/google.devtools.cloudbuild.v1.Build"
_OPERATION: Answer = {
    "name": f"projects/{PROJECT}/locations/europe-west1/operations/o1",
    "done": True,
    "metadata": {"@type": f"{_BUILD_TYPE}OperationMetadata", "build": _BUILT},
    "response": {"@type": _BUILD_TYPE, **_BUILT},
}
BUILT_IN = {"PROJECT_ID", "BUILD_ID", "PROJECT_NUMBER", "LOCATION"}


class FakeBuild:
    """Knows its paths; the rest is not its own."""

    def answer(self, call: Call) -> Answer | None:
        """The answer, None for a call that is another API's."""
        last = call.path.rpartition("/")[2]
        if last == "builds:submit":
            return {"buildOperation": _OPERATION, "baseImageUri": "python:1"}
        if call.host != "cloudbuild":
            return None
        if last == "builds" and call.method == "POST":
            check_build(call.body)
        return _OPERATION


def check_build(build: Any) -> None:
    """Refuse what Cloud Build would refuse."""
    substitutions = build.get("substitutions", {})
    loose = build.get("options", {}).get("substitutionOption") == "ALLOW_LOOSE"
    used: set[str] = set()
    for text in _substituted(build):
        used |= {found[1] for found in re.finditer(r"(?<!\$)\$\{?(_?[A-Z][A-Z0-9_]*)\}?", text)}
    require(used <= BUILT_IN | substitutions.keys(), f"unknown substitutions: {used - BUILT_IN - substitutions.keys()}")
    require(loose or substitutions.keys() <= used, f"unused substitutions: {substitutions.keys() - used}")
    require(all(re.fullmatch(r"_[A-Z0-9_]+", name) for name in substitutions), "a substitution's name begins with _")
    require(build["options"]["logging"] == "CLOUD_LOGGING_ONLY" or "serviceAccount" not in build, "an own account wants it")
    secrets = {secret["env"] for secret in build.get("availableSecrets", {}).get("secretManager", ())}
    for step in build["steps"]:
        require(("script" in step) != ("args" in step), f"{step['id']}: either a script or arguments")
        require(not ("script" in step and "entrypoint" in step), f"{step['id']}: a script has no entrypoint")
        require(set(step.get("secretEnv", ())) <= secrets, f"{step['id']}: an unknown secret")
    require(len({step["id"] for step in build["steps"]}) == len(build["steps"]), "two steps have the same id")


def _substituted(part: Any) -> list[str]:
    """Every text in which Cloud Build puts substitutions: all but scripts and the substitutions themselves."""
    if isinstance(part, dict):
        return [
            text for key, value in part.items() if key not in ("script", "substitutions") for text in _substituted(value)
        ]
    if isinstance(part, list):
        return [text for value in part for text in _substituted(value)]
    return [part] if isinstance(part, str) else []
