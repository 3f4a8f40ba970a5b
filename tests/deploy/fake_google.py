"""Google's APIs as far as `gcloud run deploy --source` and `gcloud builds submit` need them; what was sent is kept.

gcloud reaches it as its HTTP proxy, so that no request can leave this machine, and with endpoints overridden to plain
HTTP below the reserved domain `.test`. The last call of a deployment, the one that creates the service, is refused: by
then everything that gcloud makes of its flags has been sent.
"""

import io
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

PROJECT = "a-project"
APIS = ["run", "serviceusage", "artifactregistry", "cloudbuild", "storage", "cloudresourcemanager", "iam", "secretmanager"]
SECONDS = 60.0
_BUILD = f"projects/{PROJECT}/locations/europe-west1/builds/b1"
_IMAGE = {"name": "europe-west1-docker.pkg.dev/p/r/i", "digest": "sha256:" + 64 * "a"}
_BUILT = {"id": "b1", "name": _BUILD, "status": "SUCCESS", "logUrl": "http://log.test/", "results": {"images": [_IMAGE]}}
_BUILD_TYPE = "type.googleapis.com/google.devtools.cloudbuild.v1.Build"
_OPERATION = {
    "name": f"projects/{PROJECT}/locations/europe-west1/operations/o1",
    "done": True,
    "metadata": {"@type": f"{_BUILD_TYPE}OperationMetadata", "build": _BUILT},
    "response": {"@type": _BUILD_TYPE, **_BUILT},
}


class FakeGoogle:
    """Answers and remembers: `sent` holds the JSON bodies by the end of their path, `uploaded` the source's files."""

    def __init__(self, server: HTTPServer, config: Path) -> None:
        self.paths: list[str] = []
        self.sent: dict[str, Any] = {}
        self.uploaded: list[str] = []
        self._server = server
        self._config = config
        server.expect_request(re.compile(".*")).respond_with_handler(self._answer)

    def environment(self) -> dict[str, str]:
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
            **overrides,
            "CLOUDSDK_CONFIG": str(self._config),
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        }

    def run(self, *command: str, cwd: Path) -> str:
        """What a command says on standard error, whether it fails or not."""
        done = subprocess.run(command, cwd=cwd, env=self.environment(), capture_output=True, text=True, timeout=SECONDS)
        return done.stderr

    def _answer(self, request: Request) -> Response:
        self.paths.append(f"{request.method} {request.host}{request.path}")
        if request.is_json and request.data:
            self.sent[request.path.rpartition("/")[2]] = json.loads(request.data)
        answer = self._known(request)
        if answer is None:
            refusal = {"error": {"code": 403, "message": "refused by the fake", "status": "PERMISSION_DENIED"}}
            return Response(json.dumps(refusal), status=403, content_type="application/json")
        status = 404 if answer == {} else 200
        return Response(json.dumps(answer), status=status, content_type="application/json")

    def _known(self, request: Request) -> dict[str, Any] | None:
        """The answer to a request; empty for what does not exist, None for what is refused."""
        host, path = request.host.removesuffix(".test"), request.path
        if host == "storage":
            return self._storage(request)
        if host == "europe-west1-run" and request.method == "GET":
            return {}
        answers: dict[tuple[str, str], dict[str, Any]] = {
            ("europe-west1-run", "builds:submit"): {"buildOperation": _OPERATION, "baseImageUri": "python:1"},
            ("artifactregistry", "cloud-run-source-deploy"): {"name": path.removeprefix("/v1/"), "format": "DOCKER"},
            ("cloudbuild", "defaultServiceAccount"): {
                "serviceAccountEmail": "projects/p/serviceAccounts/b@p.iam.gserviceaccount.com"
            },
            ("cloudbuild", "b1"): _OPERATION,
        }
        anywhere: dict[str, dict[str, Any] | None] = {
            "serviceusage": {"name": path, "state": "ENABLED"},
            "iam": {"name": path, "email": "b@p.test"} if request.method == "GET" else None,
        }
        return answers.get((host, path.rpartition("/")[2]), anywhere.get(host))

    def _storage(self, request: Request) -> dict[str, Any]:
        name = f"run-sources-{PROJECT}-europe-west1"
        bucket = {"kind": "storage#bucket", "id": name, "name": name}
        if request.path.startswith("/upload/"):
            start, end = request.data.index(b"PK\x03\x04"), request.data.rindex(b"PK\x05\x06") + 22
            self.uploaded = zipfile.ZipFile(io.BytesIO(request.data[start:end])).namelist()
            return {"kind": "storage#object", "bucket": "sources", "name": "o.zip", "generation": "1", "size": end - start}
        return {"kind": "storage#buckets", "items": [bucket]} if request.path == "/storage/v1/b" else bucket
