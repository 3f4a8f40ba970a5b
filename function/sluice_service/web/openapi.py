"""`GET /openapi.json`."""

from flask import Response

from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.errors import JSON_TYPE


class OpenAPI:
    """The route. `max_tokens` is the ceiling of /chat's field of that name."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._body = b""

    def show(self) -> Response:
        """The document, made when it is first asked for."""
        # Imported here: a cold start does without, and so without the models of all replies.
        from sluice_service.web.openapi_document import document

        self._body = self._body or ascii_json(document(self._max_tokens))
        return Response(self._body, content_type=JSON_TYPE)
