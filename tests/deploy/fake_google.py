"""Google's APIs as far as the deploy files need them, for the real gcloud: they keep state, check and record.

gcloud reaches it as its HTTP proxy, so that no request can leave this machine, and with endpoints overridden to plain HTTP
below the reserved domain `.test`. What is not known here, or not as Google wants it, is refused; a test that deploys asserts
that nothing was.
"""

import base64
import io
import json
import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.deploy.fake_build import FakeBuild
from tests.deploy.fake_resources import FakeResources
from tests.deploy.fake_run import FakeRun
from tests.deploy.refusing import Answer, Call, Refused

PROJECT = "a-project"
REGION = "europe-west1"
APIS = [
    *("run", "serviceusage", "artifactregistry", "cloudbuild", "storage", "cloudresourcemanager", "iam", "secretmanager"),
    *("logging", "monitoring", "firestore"),
]
SECONDS = 300.0


class FakeGoogle:
    """Answers and remembers. `calls` is everything that was sent, in order; `refused` what was not as it should be."""

    def __init__(self, server: HTTPServer, config: Path) -> None:
        self.calls: list[Call] = []
        self.refused: list[str] = []
        self.uploaded: dict[str, bytes] = {}
        self.resources = FakeResources()
        self.run = FakeRun()
        self.build = FakeBuild()
        self._server = server
        self._config = config
        server.expect_request(re.compile(".*")).respond_with_handler(self._respond)

    @property
    def lines(self) -> list[str]:
        """The calls as `METHOD host/path`."""
        return [f"{call.method} {call.host}{call.path}" for call in self.calls]

    def sent(self, method: str, path: str) -> list[Any]:
        """The bodies of the calls whose path ends so."""
        return [call.body for call in self.calls if call.method == method and re.search(path + "$", call.path)]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment in which gcloud knows a project and a token, and reaches this server alone."""
        self._config.mkdir(exist_ok=True)
        token = self._config / "token"
        token.write_text("not-a-token")
        proxy = self._server.url_for("/").rstrip("/")
        overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"http://{api}.test/" for api in APIS}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._config),
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy),
            "no_proxy": "127.0.0.1",
            **overrides,
            "CLOUDSDK_CONFIG": str(self._config),
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
            **(more or {}),
        }

    def runs(self, *command: str | Path, cwd: Path, **more: str) -> "subprocess.CompletedProcess[str]":
        """A command in that environment, whether it fails or not."""
        told: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=cwd, env=self.environment(more), start_new_session=True, **told) as process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            finally:
                if process.poll() is None:  # with what it started, or its gcloud would keep the pipes open
                    os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def _respond(self, request: Request) -> Response:
        body = json.loads(request.data) if request.is_json and request.data else None
        call = Call(request.method, request.host.removesuffix(".test"), request.path, dict(request.args), body)
        self.calls.append(call)
        try:
            answer, status = self._answer(call, request.data), 200
        except Refused as refusal:
            status = refusal.status
            answer = {"error": {"code": status, "message": str(refusal), "status": refusal.word}}
            if not refusal.usual:
                self.refused.append(f"{call.method} {call.host}{call.path}: {refusal}")
        return Response(json.dumps(answer), status=status, content_type="application/json")

    def _answer(self, call: Call, data: bytes) -> Answer:
        if call.host == "storage":
            return self._storage(call, data)
        if call.host == "serviceusage":
            return {"name": call.path, "state": "ENABLED", "done": True, "response": {}}
        if (answer := self.build.answer(call)) is not None:
            return answer
        if call.host in ("run", f"{REGION}-run"):
            return self.run.answer(call)
        return self.resources.answer(call)

    def _storage(self, call: Call, data: bytes) -> Answer:
        name = f"run-sources-{PROJECT}-{REGION}"
        bucket = {"kind": "storage#bucket", "id": name, "name": name}
        if call.path.startswith("/upload/"):
            start, end = data.index(b"PK\x03\x04"), data.rindex(b"PK\x05\x06") + 22
            with zipfile.ZipFile(io.BytesIO(data[start:end])) as source:
                self.uploaded = {name: source.read(name) for name in source.namelist()}
            return {"kind": "storage#object", "bucket": name, "name": "o.zip", "generation": "1", "size": end - start}
        return {"kind": "storage#buckets", "items": [bucket]} if call.path == "/storage/v1/b" else bucket

    def secret(self, name: str) -> str:
        """The newest value of a secret."""
        return base64.b64decode(self.resources.secrets[f"projects/{PROJECT}/secrets/{name}"][-1]).decode()
