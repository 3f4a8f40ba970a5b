"""The APIs that only keep what they are told: accounts, roles, registry, database, secrets, metrics, policies."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.deploy.checks import check_dashboard, check_metric, check_policy, check_uptime
from tests.deploy.refusing import Answer, Call, Refused, require

NewName = Callable[[Mapping[str, str], Any, int], str]

_IDS: Mapping[str, NewName] = {
    "serviceAccounts": lambda _, body, __: f"{body['accountId']}@a-project.iam.gserviceaccount.com",
    "roles": lambda _, body, __: str(body["roleId"]),
    "repositories": lambda query, _, __: query["repositoryId"],
    "databases": lambda query, _, __: query["databaseId"],
    "secrets": lambda query, _, __: query["secretId"],
    "metrics": lambda _, body, __: str(body["name"]),
    "alertPolicies": lambda _, __, count: f"{1000 + count}",
    "dashboards": lambda _, body, __: str(body["name"]).rpartition("/")[2],
    "uptimeCheckConfigs": lambda _, __, count: f"check-{count}",
    "notificationChannels": lambda _, __, count: f"{1000 + count}",
}
"""For each kind of thing, which id a new one gets, of the query, the body and how many there are."""

_LISTED_AS = {"serviceAccounts": "accounts"}
_OPERATIONS = ("repositories", "databases")
"""Kinds whose making is an operation."""

_ROLE = re.compile(r"roles/[a-z]+\.[A-Za-z]+|projects/a-project/roles/\w+")
_PERMISSIONS = ("run.services.getIamPolicy", "run.services.setIamPolicy")
"""Those that a role of one's own may hold, as far as they are asked for."""
_MEMBER = re.compile(r"serviceAccount:[a-z-]+@a-project\.iam\.gserviceaccount\.com")


class FakeResources:
    """`things` by full name, `policies` of IAM by the name of what they guard, `secrets` as their versions in base64."""

    def __init__(self) -> None:
        self.things: dict[str, Answer] = {}
        self.policies: dict[str, Answer] = {}
        self.secrets: dict[str, list[str]] = {}
        self.unknown_metrics = 0
        """How many policies are refused because Monitoring does not know their metrics yet."""
        self.unknown_accounts = 0
        """How many policies of IAM are refused because it does not know an account yet."""

    def names(self, kind: str) -> list[str]:
        """The last parts of the names of all things of a kind."""
        return [name.rpartition("/")[2] for name in self.things if name.split("/")[-2] == kind]

    def answer(self, call: Call) -> Answer:
        """The answer to one call."""
        name, _, verb = re.sub(r"^/v\d\w*/", "", call.path).replace("projects/-/", "projects/a-project/").partition(":")
        if verb:
            return self._verb(name, verb, call)
        if name.endswith("/collectionGroups/-/fields"):
            return {"fields": [thing for key, thing in self.things.items() if "/fields/" in key]}
        kind = name.rpartition("/")[2]
        if kind == "versions":
            return self._versions(name.removesuffix("/versions"))
        if kind in _IDS:
            return self._create(name, kind, call) if call.method == "POST" else self._list(name, kind)
        if call.method in ("PATCH", "PUT"):
            return self._update(name, call)
        if name not in self.things:
            raise Refused(404, f"{name} does not exist")
        return self.things[name] if call.method == "GET" else self._delete(name)

    def _delete(self, name: str) -> Answer:
        del self.things[name]
        return {}

    def _list(self, parent: str, kind: str) -> Answer:
        found = [thing for name, thing in self.things.items() if name.rpartition("/")[0] == parent]
        return {_LISTED_AS.get(kind, kind): found} if found else {}

    def _versions(self, secret: str) -> Answer:
        values = self.secrets.get(secret, [])
        return {
            "versions": [{"name": f"{secret}/versions/{count}", "state": "ENABLED"} for count in range(1, 1 + len(values))]
        }

    def _create(self, parent: str, kind: str, call: Call) -> Answer:
        name = f"{parent}/{_IDS[kind](call.query, call.body, len(self.things))}"
        if name in self.things:
            raise Refused(409, f"{name} exists")
        self._check(kind, call)
        thing = {**call.body, "etag": "etag-1"} if kind == "dashboards" else {**call.body}
        self.things[name] = thing if kind == "metrics" else {**thing, "name": name}
        if kind == "serviceAccounts":
            self.things[name]["email"] = name.rpartition("/")[2]
        made = self.things[name]
        owner = parent.removesuffix("/repositories") if kind == "repositories" else name
        return {"name": f"{owner}/operations/o1", "done": True, "response": made} if kind in _OPERATIONS else made

    def _update(self, name: str, call: Call) -> Answer:
        kind = name.split("/")[-2]
        if kind == "fields":
            self.things[name] = {"name": name, "ttlConfig": {"state": "ACTIVE"}}
            return {"name": f"{name.partition('/collectionGroups/')[0]}/operations/o1"}
        if name not in self.things:
            raise Refused(404, f"{name} does not exist")
        self._check(kind, call)
        if kind == "dashboards":
            require(call.body.get("etag") == self.things[name]["etag"], "the etag is not the newest")
        self.things[name] = {**call.body} if kind == "metrics" else {**call.body, "name": name}
        return self.things[name]

    def _check(self, kind: str, call: Call) -> None:
        metrics = {name.rpartition("/")[2]: thing for name, thing in self.things.items() if "/metrics/" in name}
        if kind == "metrics":
            check_metric(call.body)
        elif kind == "alertPolicies":
            if self.unknown_metrics:
                self.unknown_metrics -= 1
                raise Refused(404, "Cannot find metric that matches type = …; it could take up to 10 minutes.")
            check_policy(call.body, metrics)
        elif kind == "dashboards":
            check_dashboard(call.body, metrics)
        elif kind == "uptimeCheckConfigs":
            check_uptime(call.body)
        elif kind == "notificationChannels":
            require(re.fullmatch(r"[^@ ]+@[^@ ]+", call.body["labels"]["email_address"]), "it is no address")

    def _verb(self, name: str, verb: str, call: Call) -> Answer:
        if verb == "getIamPolicy":
            return self.policies.get(name, {"etag": "BwXk", "version": 1})
        if verb == "setIamPolicy":
            if self.unknown_accounts:
                self.unknown_accounts -= 1
                raise Refused(400, "Service account sluice@… does not exist.", usual=True)
            policy: Answer = call.body["policy"]
            for binding in policy["bindings"]:
                require(_ROLE.fullmatch(binding["role"]), f"{binding['role']} is no role")
                require(
                    all(_MEMBER.fullmatch(member) for member in binding["members"]), f"{binding['members']} are no accounts"
                )
            self.policies[name] = policy
            return policy
        if verb == "addVersion":
            self.secrets.setdefault(name, []).append(call.body["payload"]["data"])
            return {"name": f"{name}/versions/{len(self.secrets[name])}", "clientSpecifiedPayloadChecksum": True}
        if verb == "access":
            secret = name.removesuffix("/versions/latest")
            return {"name": name, "payload": {"data": self.secrets[secret][-1]}}
        if (name, verb) == ("entries", "list"):
            return {}
        if verb == "queryTestablePermissions":
            return {"permissions": [{"name": name, "stage": "GA"} for name in _PERMISSIONS]}
        raise Refused(403, f"{verb} is not known here")
