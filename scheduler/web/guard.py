"""Guard: the middleware that every request passes before any page sees it. What it lets through has a visitor who may do what they ask for.

    Host is ours -> visitor known -> logged in where that is needed -> a POST: small, of our own origin, in the right type, with the CSRF token,
    by an operator -> the page

The rules are in admission.py, session.py, origin.py and throttle.py; here they are put in order, and headers are set on every answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .admission import Admission
from .origin import is_meant, is_own
from .session import LIFE_SECONDS, Sessions
from .throttle import Throttle
from .visitor import Visitor

BODY_BYTES = 65_536
OPEN_PATHS = frozenset({"/login", "/healthz", "/readyz"})
"""With the static files what is answered without a login: the way in, the probes, and what every page looks like."""
FREE_POSTS = ("/login", "/logout")
"""What viewers may do, too."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
Refuse = Callable[[Request, int, str], Response]


class Guard:
    """`refuse` makes the answer to what is not let through: a page or a JSON problem."""

    def __init__(
        self,
        app: ASGIApp,
        admission: Admission,
        sessions: Sessions,
        throttle: Throttle,
        refuse: Refuse,
        *,
        cookie: str = "backbeat",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._admission = admission
        self._sessions = sessions
        self._throttle = throttle
        self._refuse = refuse
        self._cookie = cookie
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        scope.setdefault("state", {})
        answer = self._headed(send, scope)
        refusal = await self._admit(request)
        if refusal is not None:
            await refusal(scope, receive, answer)
        else:
            await self._app(scope, scope["state"].get("receive", receive), answer)

    async def _admit(self, request: Request) -> Response | None:
        """None for what may pass; the visitor is in the request's state then."""
        if not is_meant(request.headers.get("host", ""), self._admission.hosts):
            return self._refuse(
                request, 421, "This name is not one of the dashboard's: add it with --allow-host."
            )
        peer = request.client.host if request.client else ""
        has_tried = bool(self._admission.tokens) and "authorization" in request.headers
        if has_tried and (wait := self._throttle.wait_seconds(peer, self._clock())):
            return self._too_often(request, wait)
        visitor = self._visitor(request, peer)
        if visitor is None and has_tried:
            self._throttle.failed(peer, self._clock())
        request.state.visitor = visitor
        path = request.url.path
        if visitor is None and not _is_open(path):
            return self._stranger(request)
        if request.method in {"GET", "HEAD"}:
            return None
        return await self._posted(request, peer, visitor)

    def _visitor(self, request: Request, peer: str) -> Visitor | None:
        """Who it is. Somebody whom a browser's cookie need not tell of gets one for the CSRF token, with the answer."""
        known = self._admission.by_request(peer, request.headers)
        if known is not None and known.means.value == "bearer":
            return known
        found = self._sessions.visitor(request.cookies.get(self._cookie, ""), self._clock())
        if (
            self._admission.header
        ):  # the proxy says with each request who it is; a session only holds the CSRF token
            is_same = (
                known is not None
                and found is not None
                and (found.name, found.role) == (known.name, known.role)
            )
            is_login = found is not None and found.means.value == "session"
            if is_same or (known is None and is_login):
                return found
        elif found is not None:
            return found
        known = known or self._admission.anybody()
        return None if known is None else self._begun(request, known)

    def _begun(self, request: Request, visitor: Visitor) -> Visitor:
        path = request.url.path
        if request.method in {"GET", "HEAD"} and not path.startswith("/api/") and not _is_open(path):
            visitor = self._sessions.begin(visitor, self._clock())
            request.state.new_session = visitor.session
        return visitor

    async def _posted(self, request: Request, peer: str, visitor: Visitor | None) -> Response | None:
        """None for a POST that may pass; its fields are in the request's state then."""
        path, headers = request.url.path, request.headers
        if request.method != "POST":
            return self._refuse(request, 405, "Only GET, HEAD and POST.")
        own = is_own(headers.get("host", ""), headers.get("origin"), headers.get("sec-fetch-site"))
        is_api = path.startswith("/api/")
        if own is False or (own is None and not is_api):
            return self._refuse(request, 403, "This was sent from a page that is not the dashboard's.")
        if visitor is not None and not visitor.acts and path not in FREE_POSTS:
            return self._refuse(request, 403, "A viewer may look, and change nothing.")
        wanted = "application/json" if is_api else "application/x-www-form-urlencoded"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != wanted:
            return self._refuse(request, 415, f"The body of this request must be {wanted}.")
        body = await _body(request)
        if body is None:
            return self._refuse(request, 413, f"More than {BODY_BYTES} bytes are not taken.")
        request.scope["state"]["receive"] = _again(body)
        request.state.body = body
        request.state.form = {} if is_api else _form(body)
        if path == "/login":
            wait = self._throttle.wait_seconds(peer, self._clock())
            return self._too_often(request, wait) if wait else None
        if visitor is not None and not self._has_csrf(request, visitor, is_api=is_api):
            return self._refuse(request, 403, "The form is out of date: load the page again.")
        return None

    def _has_csrf(self, request: Request, visitor: Visitor, *, is_api: bool) -> bool:
        if is_api and not visitor.session:
            return True  # a program: no browser adds what it shows to a foreign page's request
        shown = request.headers.get("x-csrf-token") or "".join(request.state.form.get("csrf", ())[:1])
        return bool(visitor.session) and self._sessions.is_csrf(visitor.session, shown)

    def _stranger(self, request: Request) -> Response:
        if request.method != "GET" or request.url.path.startswith("/api/") or not self._admission.tokens:
            refusal = self._refuse(request, 401, "Log in, or show a token: Authorization: Bearer TOKEN.")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)

    def _too_often(self, request: Request, wait: float) -> Response:
        refusal = self._refuse(request, 429, f"Too many tries. Wait {wait:.0f} seconds.")
        refusal.headers["Retry-After"] = str(int(wait) + 1)
        return refusal

    def _headed(self, send: Send, scope: Scope) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                session = scope["state"].get("new_session")
                if session is not None:
                    headers.append("Set-Cookie", self._set_cookie(scope, session))
            await send(message)

        return sending

    def _set_cookie(self, scope: Scope, session: str) -> str:
        peer = (scope.get("client") or ("",))[0]
        forwarded = (
            Headers(scope=scope).get("x-forwarded-proto", "") if self._admission.is_proxy(peer) else ""
        )
        secure = "; Secure" if "https" in {scope["scheme"], forwarded} else ""
        life = LIFE_SECONDS if session else 0
        return f"{self._cookie}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}"


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith("/static/")


async def _body(request: Request) -> bytes | None:
    """All of it; None for one that is too long."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY_BYTES:
        return None
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            return None
    return body


def _form(body: bytes) -> dict[str, Sequence[str]]:
    return dict(parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000))


def _again(body: bytes) -> Receive:
    """The body once more, for the page."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
