"""Cloud Run: services with their revisions and traffic, in the Knative form in which gcloud speaks of them."""

import re
from typing import Any

from tests.deploy.refusing import Answer, Call, Refused, require

HOST = "sluice-abc-ew.a.run.app"
_MEMORY = re.compile(r"\d+(?:Mi|Gi)")


class FakeRun:
    """Every service at once, each ready as soon as it is sent, but for the `failing` next ones."""

    def __init__(self) -> None:
        self.services: dict[str, Answer] = {}
        self.policies: dict[str, Answer] = {}
        self.url = f"https://{HOST}"
        """What services and their tags tell as their address; a test puts its own server's here."""
        self.failing = 0
        self.revisions: list[str] = []

    def answer(self, call: Call) -> Answer:
        """The answer to one call."""
        name = call.path.rpartition("/")[2].partition(":")[0]
        if "IamPolicy" in call.path:
            if call.method == "POST":
                self.policies[name] = call.body["policy"]
            return self.policies.get(name, {"etag": "BwXk", "version": 1})
        if call.path.endswith("/services"):
            return self._create(call.body) if call.method == "POST" else self._list()
        if call.path.endswith("/revisions"):
            return {"kind": "RevisionList", "metadata": {}, "items": [_revision(each) for each in self.revisions]}
        if name not in self.services:
            raise Refused(404, f"Resource '{name}' was not found")
        return self._replace(call.body) if call.method == "PUT" else self._told(self.services[name])

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
        generation = service["metadata"]["generation"]
        service["metadata"]["resourceVersion"] = f"v{generation}"
        template = service["spec"]["template"]
        last = self.services.get(name, {"spec": {}, "status": {}})
        newest = last["status"].get("latestCreatedRevisionName")
        if template != last["spec"].get("template"):
            newest = template["metadata"].get("name") or f"{name}-{generation:05}-abc"
            require(newest not in self.revisions, f"Revision named {newest} exists")
            self.revisions.append(newest)
        service["status"] = {
            "observedGeneration": generation,
            "conditions": self._conditions(),
            "latestCreatedRevisionName": newest,
            "address": {"url": self.url},
        }
        if self.failing:
            self.failing -= 1
        else:
            service["status"]["latestReadyRevisionName"] = newest
            service["status"]["traffic"] = [
                _target(target, newest)
                for target in service["spec"].get("traffic", [{"latestRevision": True, "percent": 100}])
            ]
        require(
            sum(target.get("percent", 0) for target in service["spec"].get("traffic", [{"percent": 100}])) == 100,
            "traffic is not 100 %",
        )
        self.services[name] = service
        return self._told(service)

    def _conditions(self) -> list[Answer]:
        told = {"status": "False", "message": "The container failed to start."} if self.failing else {"status": "True"}
        return [{"type": kind, **told} for kind in ("Ready", "ConfigurationsReady", "RoutesReady")]

    def _told(self, service: Answer) -> Answer:
        status = {**service["status"], "url": self.url}
        status["traffic"] = [{**each, "url": self.url} if "tag" in each else each for each in status.get("traffic", ())]
        return {**service, "status": status}


def _revision(name: str) -> Answer:
    metadata = {
        "name": name,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"serving.knative.dev/service": "sluice"},
    }
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def _target(target: Answer, newest: str) -> Answer:
    """As the status tells it. Refuses one that names neither a revision nor the latest."""
    require(target.get("latestRevision") or target.get("revisionName"), "a traffic target has no revision")
    return {**target, "revisionName": target.get("revisionName", newest)}


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
