"""Face: the look of all answers that are no data: pages in their layout, the login, and problems, for browsers and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ..installed import installed_version
from .admission import Admission
from .asset import Assets
from .page import Page
from .rendering import Rendering
from .session import Sessions
from .site import Site
from .visitor import Visitor


class Face:
    """Thread-safe."""

    def __init__(
        self, site: Site, admission: Admission, sessions: Sessions, assets: Assets, pages: Sequence[Page]
    ) -> None:
        self._site = site
        self._admission = admission
        self._sessions = sessions
        self._rendering = Rendering(assets)
        self._places = [(page.path, page.place) for page in pages if page.place]
        self._version = installed_version() or "from a checkout"

    def page(self, request: Request, page: Page, view: Struct) -> str:
        """A page, whole."""
        visitor: Visitor = request.state.visitor
        values = self._frame(request, visitor) | {"title": page.title, "view": view, "path": page.path}
        return self._rendering.html(page.template, values)

    def toast(self, text: str) -> str:
        """A line for the live region."""
        return self._rendering.html("toast.html", {"text": text})

    def login(self, request: Request, wanted: str, fault: str = "") -> Response:
        """The form for a token."""
        values = self._frame(request, None) | {
            "title": "Log in",
            "wanted": wanted,
            "fault": fault,
            "path": "",
        }
        return self._html("login.html", values, HTTPStatus.UNAUTHORIZED if fault else HTTPStatus.OK)

    def problem(self, request: Request, status: int, detail: str) -> Response:
        """What did not work: RFC 9457 for programs, a page for people."""
        title = HTTPStatus(status).phrase
        if request.url.path.startswith("/api/"):
            body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
            return Response(body, status, media_type="application/problem+json")
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        values = self._frame(request, visitor) | {
            "title": title,
            "detail": detail,
            "status": status,
            "path": "",
        }
        return self._html("problem.html", values, status)

    def _frame(self, request: Request, visitor: Visitor | None) -> dict[str, Any]:
        """What the layout needs."""
        return {
            "places": self._places if visitor is not None else [],
            "visitor": visitor,
            "has_login": not self._admission.is_open,
            "csrf": self._sessions.csrf(visitor.session) if visitor is not None and visitor.session else "",
            "version": self._version,
            "app_name": self._site.app.name if visitor is not None else "",
            "here": request.url.path,
        }

    def _html(self, template: str, values: dict[str, Any], status: int) -> Response:
        return Response(self._rendering.html(template, values), status, media_type="text/html")
