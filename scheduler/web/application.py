"""Application: pages, actions and the way in, as one ASGI app behind the Guard.

Each Page is served as HTML and as JSON, each Action as a form and as JSON; what they do runs in threads, so that the loop never waits
for a store.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from ...canvas.errors import BackbeatError
from ..errors import BackbeatScheduleError, StoreDown
from ..order import NoSuchEntry
from .admission import Admission
from .asset import Assets
from .face import Face
from .guard import Guard
from .origin import safe_path
from .page import Action, Page, Question
from .session import Sessions
from .site import Site
from .throttle import Throttle
from .visitor import Visitor

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]
FOR_GOOD = "public, max-age=31536000, immutable"


class Dashboard:
    """The ASGI app. `routes` are all that it serves."""

    def __init__(
        self, site: Site, admission: Admission, pages: Sequence[Page], actions: Sequence[Action] = ()
    ) -> None:
        self._site = site
        self._admission = admission
        self._sessions = Sessions()
        self._throttle = Throttle()
        self._assets = Assets()
        self._face = Face(site, admission, self._sessions, self._assets, pages)
        self.routes = self._routes(pages, actions)
        handlers = {HTTPException: self._failed, BackbeatError: self._failed, Exception: self._failed}
        handlers |= {BackbeatScheduleError: self._failed}
        app = Starlette(routes=self.routes, exception_handlers=handlers)
        self._guard = Guard(app, admission, self._sessions, self._throttle, self._face.problem)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guard(scope, receive, send)

    def _routes(self, pages: Sequence[Page], actions: Sequence[Action]) -> list[BaseRoute]:
        routes: list[BaseRoute] = [
            Route("/login", self._login_page, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/static/{name}", self._asset),
        ]
        for page in pages:
            routes += [Route(page.path, self._shown(page)), Route(page.api, self._told(page))]
        for action in actions:
            routes += [
                Route(action.path, self._acted(action), methods=["POST"]),
                Route(action.api, self._done(action), methods=["POST"]),
            ]
        return routes

    # --- pages ------------------------------------------------------------------------------------------------------------

    def _shown(self, page: Page) -> Endpoint:
        async def show(request: Request) -> Response:
            def make() -> str:
                return self._face.page(request, page, page.view(self._site, _question(request)))

            return Response(await run_in_threadpool(make), media_type="text/html")

        return show

    def _told(self, page: Page) -> Endpoint:
        async def tell(request: Request) -> Response:
            def make() -> bytes:
                return msgspec.json.encode(page.view(self._site, _question(request)))

            return Response(await run_in_threadpool(make), media_type="application/json")

        return tell

    # --- actions ----------------------------------------------------------------------------------------------------------

    def _acted(self, action: Action) -> Endpoint:
        async def act(request: Request) -> Response:
            said = await run_in_threadpool(action.act, self._site, _question(request, request.state.form))
            if request.headers.get("hx-request") == "true":
                return Response(self._face.toast(said), media_type="text/html")
            back = "".join(request.state.form.get("back", ())[:1]) or action.back
            return RedirectResponse(safe_path(back), HTTPStatus.SEE_OTHER)

        return act

    def _done(self, action: Action) -> Endpoint:
        async def do(request: Request) -> Response:
            question = _question(request, _fields_of(request.state.body))
            said = await run_in_threadpool(action.act, self._site, question)
            return Response(json.dumps({"done": said}), media_type="application/json")

        return do

    # --- the way in and out -----------------------------------------------------------------------------------------------

    async def _login_page(self, request: Request) -> Response:
        return self._face.login(request, safe_path(request.query_params.get("next", "/")))

    async def _login(self, request: Request) -> Response:
        form = request.state.form
        wanted = safe_path("".join(form.get("next", ())[:1]))
        visitor = self._admission.by_token("".join(form.get("token", ())[:1]))
        if visitor is None:
            peer = request.client.host if request.client else ""
            self._throttle.failed(peer, time.monotonic())
            log.warning("A login from %s failed", peer, extra={"action": "login_failed"})
            return self._face.login(request, wanted, fault="This token is not known.")
        request.state.new_session = self._sessions.begin(visitor, time.monotonic()).session
        return RedirectResponse(wanted, HTTPStatus.SEE_OTHER)

    async def _logout(self, request: Request) -> Response:
        visitor: Visitor = request.state.visitor
        self._sessions.end(visitor.session, time.monotonic())
        request.state.new_session = ""
        return RedirectResponse("/login", HTTPStatus.SEE_OTHER)

    # --- what is no page --------------------------------------------------------------------------------------------------

    async def _healthz(self, _request: Request) -> Response:
        return Response("alive\n", media_type="text/plain")

    async def _readyz(self, _request: Request) -> Response:
        """Strangers may ask: it does not say which store, or why."""
        fault = await run_in_threadpool(self._site.ready)
        text, status = ("ready\n", 200) if fault is None else ("the store does not answer\n", 503)
        return Response(text, status, media_type="text/plain")

    async def _asset(self, request: Request) -> Response:
        asset = self._assets.at(request.url.path)
        if asset is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        headers = {"Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                asset.packed, media_type=asset.kind, headers={**headers, "Content-Encoding": "gzip"}
            )
        return Response(asset.body, media_type=asset.kind, headers=headers)

    async def _failed(self, request: Request, error: Exception) -> Response:
        """What went wrong, in a sentence of ours; of what nobody foresaw only that it did: the log has the rest."""
        match error:
            case HTTPException():
                return self._face.problem(request, error.status_code, error.detail)
            case StoreDown():
                return self._face.problem(request, 503, str(error))
            case NoSuchEntry():
                return self._face.problem(request, 404, str(error))
            case BackbeatScheduleError() | BackbeatError():
                return self._face.problem(request, 400, str(error))
            case _:
                return self._face.problem(
                    request, 500, "Something failed; the log of `backbeat web` says what."
                )


def _question(request: Request, fields: dict[str, Sequence[str]] | None = None) -> Question:
    query = {name: request.query_params.getlist(name) for name in request.query_params}
    path = {name: str(value) for name, value in request.path_params.items()}
    return Question(path=path, fields=query if fields is None else fields, actor=request.state.visitor.name)


def _fields_of(body: bytes) -> dict[str, Sequence[str]]:
    """A JSON object of texts, numbers and lists of them, as a form has it. Raises HTTPException."""
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    return {
        str(name): [str(each) for each in value] if isinstance(value, list) else [str(value)]
        for name, value in found.items()
        if value is not None
    }
