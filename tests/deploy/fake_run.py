"""Cloud Run: services with their revisions and traffic, in the Knative form in which gcloud speaks of them."""

import re
from typing import Any

from tests.deploy.refusing import Answer, Call, Refused, require

HOST = "sluice-abc-ew.a.run.app"
_MEMORY = re.compile(r"\d+(?:Mi|Gi)")


class FakeRun:
    """Every service at once, each ready as soon as it is sent."""

    def __init__(self) -> None:
        self.services: dict[str, Answer] = {}
        self.policies: dict[str, Answer] = {}
        self.url = f"https://{HOST}"
        """What services and their tags tell as their address; a test puts its own server's here."""

    def answer(self, call: Call) -> Answer:
        """The answer to one call."""
        name = call.path.rpartition("/")[2].partition(":")[0]
        if "IamPolicy" in call.path:
            if call.method == "POST":
                self.policies[name] = call.body["policy"]
            return self.policies.get(name, {"etag": "BwXk", "version": 1})
        if call.path.endswith("/services"):
            return self._create(call.body) if call.method == "POST" else self._list()
        if name not in self.services:
            raise Refused(404, f"Resource '{name}' was not found")
        return self._replace(call.body) if call.method == "PUT" else self.services[name]

    def _list(self) -> Answer:
        return {
            "kind": "ServiceList",
            "apiVersion": "serving.knative.dev/v1",
            "metadata": {},
            "items": [*self.services.values()],
        }

    def _create(self, service: Answer) -> Answer:
        require(service["metadata"]["name"] not in self.services, "the service exists")
        service["metadata"]["generation"] = 0
        return self._replace(service)

    def _replace(self, service: Answer) -> Answer:
        name = service["metadata"]["name"]
        check_revision(name, service["spec"]["template"])
        service["metadata"]["generation"] += 1
        service["metadata"]["resourceVersion"] = f"v{service['metadata']['generation']}"
        newest = service["spec"]["template"]["metadata"].get("name") or f"{name}-00001-abc"
        service["status"] = {
            "observedGeneration": service["metadata"]["generation"],
            "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ConfigurationsReady", "RoutesReady")],
            "latestCreatedRevisionName": newest,
            "latestReadyRevisionName": newest,
            "url": self.url,
            "address": {"url": self.url},
            "traffic": [self._target(target, newest) for target in service["spec"].get("traffic", [{"percent": 100}])],
        }
        require(sum(target.get("percent", 0) for target in service["status"]["traffic"]) == 100, "traffic is not 100 %")
        self.services[name] = service
        return service

    def _target(self, target: Answer, newest: str) -> Answer:
        told = {**target, "revisionName": target.get("revisionName", newest)}
        return {**told, "url": self.url} if "tag" in target else told


def check_revision(service: str, template: Any) -> None:
    """Refuse what Cloud Run would refuse."""
    name = template["metadata"].get("name", f"{service}-x")
    require(
        re.fullmatch(rf"{service}-[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) and len(name) <= 63, f"{name} is no revision's name"
    )
    spec = template["spec"]
    require(1 <= spec["containerConcurrency"] <= 1000, "concurrency is 1 to 1000")
    require(1 <= spec["timeoutSeconds"] <= 3600, "the time-out is at most an hour")
    (container,) = spec["containers"]
    require(_MEMORY.fullmatch(container["resources"]["limits"]["memory"]), "memory is given in Mi or Gi")
    names = [variable["name"] for variable in container["env"]]
    require(len(set(names)) == len(names), "a variable is there twice")
    require(not {"PORT", "K_SERVICE", "K_REVISION"} & set(names), "a variable is Cloud Run's own")
    scale = template["metadata"]["annotations"]
    require(
        int(scale.get("autoscaling.knative.dev/minScale", 0)) <= int(scale["autoscaling.knative.dev/maxScale"]), "min > max"
    )
