"""The dashboard over a real store: every route keeps strangers out, viewers do nothing, foreign pages send nothing, and text stays text."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
from importlib.resources import files

import pytest
from backbeat.canvas import App
from backbeat.scheduler import Schedules
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.history.argument_text import Arguments
from backbeat.scheduler.history.gap import Gap
from backbeat.scheduler.history.task_run import TaskRun
from backbeat.scheduler.web.admission import Admission
from backbeat.scheduler.web.application import Dashboard
from backbeat.scheduler.web.guard import BODY_BYTES, HEADERS
from backbeat.scheduler.web.page import Action
from backbeat.scheduler.web.pages.listing import actions, pages
from backbeat.scheduler.web.site import Site
from backbeat.scheduler.web.token import Token
from backbeat.scheduler.web.visitor import Role
from starlette.testclient import TestClient

from support.servers import own_database

OPERATOR, VIEWER = "operator-0123456789", "viewer-0123456789ab"
BOTH = (Token(Role.OPERATOR, OPERATOR), Token(Role.VIEWER, VIEWER))
OPEN = {"/login", "/healthz", "/readyz", "/static/{name}"}
OURS = "http://testserver"
STATIC = files("backbeat.scheduler.web").joinpath("static")
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202eevil\r\n"
PAUSE = Action(
    path="/schedules/{name}/pause",
    api="/api/v1/schedules/{name}/pause",
    name="pause",
    back="/",
    act=lambda site, asked: (
        f"paused {site.acting(asked.actor).pause(asked.path['name'], reason=asked.one('reason')).name}"
    ),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'web.db'}"
        return
    with own_database("postgres") as url:
        yield url


@pytest.fixture
def site(tmp_path):
    opened = Site(App("shop", broker="memory://"), f"sqlite:///{tmp_path / 'web.db'}")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def board(site):
    """Makes a client of a dashboard."""

    def make(**known):
        admission = Admission(**{"host": "127.0.0.1", "hosts": frozenset({"testserver"}), **known}).checked()
        app = Dashboard(site, admission, pages(), [*actions(), PAUSE])
        client = TestClient(app, base_url=OURS, follow_redirects=False, raise_server_exceptions=False)
        client.routes = app.routes
        return client

    return make


def log_in(client, token):
    answer = client.post("/login", data={"token": token, "next": "/runs"}, headers={"Origin": OURS})
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    return csrf_of(client)


def csrf_of(client):
    return re.search(r'name="csrf-token" content="(\w+)"', client.get("/").text)[1]


def walk(client):
    """(method, path) of each route, with something in place of its parameters."""
    for route in client.routes:
        for method in sorted(route.methods - {"HEAD"}):
            yield method, route.path, re.sub(r"\{\w+\}", "x", route.path)


def send(client, method, path, **headers):
    body = {} if method == "GET" else {"json": {}} if path.startswith("/api/") else {"data": {"a": "b"}}
    return client.request(method, path, headers=headers, **body)


# --- sweeps over all routes --------------------------------------------------------------------------------------------------


def test_strangers_are_let_in_nowhere(board):
    client = board(tokens=BOTH)

    for method, pattern, path in walk(client):
        answer = send(client, method, path, Origin=OURS)

        if pattern in OPEN:
            assert answer.status_code in {200, 401, 404}, (method, path)
        elif method == "GET" and not path.startswith("/api/"):
            assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
        else:
            assert answer.status_code == 401, (method, path)
            assert "shop" not in answer.text


def test_viewers_change_nothing(board):
    client = board(tokens=BOTH)
    csrf = log_in(client, VIEWER)

    for method, pattern, path in walk(client):
        if method == "POST" and pattern not in {"/login", "/logout"}:
            assert send(client, method, path, Origin=OURS, **{"X-CSRF-Token": csrf}).status_code == 403
            bearer = {"Authorization": f"Bearer {VIEWER}"}
            assert send(board(tokens=BOTH), method, path, Origin=OURS, **bearer).status_code == 403


def test_read_only_makes_the_operator_a_viewer(board):
    client = board(is_read_only=True)
    csrf = csrf_of(client)

    for method, pattern, path in walk(client):
        if method == "POST" and pattern not in {"/login", "/logout"}:
            assert send(client, method, path, Origin=OURS, **{"X-CSRF-Token": csrf}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": OURS, "Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("known", [{}, {"tokens": BOTH}])
def test_foreign_pages_send_nothing(board, headers, known):
    client = board(**known)
    csrf = log_in(client, OPERATOR) if known else csrf_of(client)

    for method, _, path in walk(client):
        if method == "POST":
            assert send(client, method, path, **headers, **{"X-CSRF-Token": csrf}).status_code == 403, path


@pytest.mark.parametrize("known", [{}, {"tokens": BOTH}])
def test_every_answer_has_the_headers(board, known):
    client = board(**known)

    for method, _, path in walk(client):
        answer = send(client, method, path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert answer.headers["Cache-Control"] == "no-store"
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_no_page_has_script_or_style_of_its_own(board):
    client = board()

    for page in pages():
        text = client.get(page.path).text
        assert not re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text)
        assert not re.findall(r'(?:src|href|action)="(?!/|#)[^"]*"', text)


# --- forms, JSON and the login -----------------------------------------------------------------------------------------------


def test_a_form_needs_the_token_of_its_session(board, site):
    site.schedules.add("a", task="t", every="1h")
    client = board()
    csrf = csrf_of(client)

    def post(**fields):
        return client.post("/schedules/a/pause", data=fields, headers={"Origin": OURS})

    assert post(reason="x").status_code == 403
    assert post(csrf="0" * 64).status_code == 403
    answer = post(csrf=csrf, reason="stocktaking", back="//evil.example")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert site.schedules.get("a").pause.reason == "stocktaking"
    assert site.schedules.audit("a")[0].actor == "this machine"


def test_a_program_acts_with_its_token_and_json(board, site):
    site.schedules.add("a", task="t", every="1h")
    client = board(tokens=BOTH)
    path, bearer = "/api/v1/schedules/a/pause", {"Authorization": f"Bearer {OPERATOR}"}

    assert client.post(path, data={"reason": "x"}, headers=bearer).status_code == 415
    assert client.post(path, json=["x"], headers=bearer).status_code == 400
    answer = client.post(path, json={"reason": "x"}, headers=bearer)

    assert (answer.status_code, answer.json()) == (200, {"done": "paused a"})
    missing = client.post(path.replace("/a/", "/b/"), json={}, headers=bearer)
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


def test_a_body_that_is_too_long_is_not_taken(board):
    client = board()
    csrf = csrf_of(client)

    answer = client.post(
        "/schedules/a/pause",
        data={"csrf": csrf, "reason": "x" * BODY_BYTES},
        headers={"Origin": OURS},
    )

    assert answer.status_code == 413


def test_who_guesses_tokens_waits(board):
    client = board(tokens=BOTH)

    def guess():
        return client.post("/login", data={"token": "wrong"}, headers={"Origin": OURS})

    assert [guess().status_code for _ in range(5)] == [401] * 5
    refused = guess()
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    right = client.get("/api/v1/overview", headers={"Authorization": f"Bearer {OPERATOR}"})
    assert right.status_code == 429


def test_a_session_ends_when_somebody_logs_out(board):
    client = board(tokens=BOTH)
    csrf = log_in(client, OPERATOR)
    cookie = client.cookies["backbeat"]

    answer = client.post("/logout", data={"csrf": csrf}, headers={"Origin": OURS})

    assert answer.headers["location"] == "/login"
    assert client.get("/", headers={"Cookie": f"backbeat={cookie}"}).status_code == 303


def test_the_cookie_is_for_us_alone(board):
    client = board(tokens=BOTH)

    answer = client.post("/login", data={"token": OPERATOR}, headers={"Origin": OURS})
    secure = client.post(
        f"{OURS.replace('http', 'https')}/login",
        data={"token": OPERATOR},
        headers={"Origin": OURS.replace("http", "https")},
    )

    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert secure.headers["set-cookie"].endswith("; Secure")


def test_users_of_a_trusted_proxy_are_who_it_says_with_each_request(board, site):
    site.schedules.add("a", task="t", every="1h")
    known = {
        "header": "X-User",
        "proxies": frozenset({"10.0.0.7"}),
        "operators": frozenset({"ann"}),
        "host": "0.0.0.0",
    }
    dashboard = board(**known).app
    proxied = TestClient(dashboard, base_url=OURS, client=("10.0.0.7", 1), follow_redirects=False)
    direct = TestClient(dashboard, base_url=OURS, client=("10.0.0.8", 1), follow_redirects=False)
    ann, bob = {"X-User": "ann", "X-Forwarded-Proto": "https"}, {"X-User": "bob"}

    page = proxied.get("/", headers=ann)
    csrf = re.search(r'name="csrf-token" content="(\w+)"', page.text)[1]
    cookie = {"Cookie": page.headers["set-cookie"].partition(";")[0], "Origin": OURS}
    fields = {"csrf": csrf, "reason": "x"}

    assert page.headers["set-cookie"].endswith("; Secure")
    assert direct.get("/", headers=ann).status_code == 401
    assert direct.get("/", headers=cookie).status_code == 401  # a session alone is nobody here
    refused = proxied.post("/schedules/a/pause", data=fields, headers={**bob, **cookie})
    assert refused.status_code == 403
    assert proxied.post("/schedules/a/pause", data=fields, headers={**ann, **cookie}).status_code == 303
    assert site.schedules.audit("a")[0].actor == "ann"


def test_a_foreign_name_for_our_address_is_refused(board):
    client = board()

    assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/", headers={"Host": "127.0.0.1:8787"}).status_code == 200


def test_a_failure_shows_neither_traceback_nor_secret(board, site):
    class Broken:
        def __getattr__(self, name):
            raise RuntimeError("canary")

        def close(self):
            pass

    site._opened.close()
    site._opened = Broken()

    for path in ("/", "/api/v1/overview"):
        answer = board().get(path)
        assert answer.status_code == 500
        assert "canary" not in answer.text
        assert "Traceback" not in answer.text


# --- what pages show ---------------------------------------------------------------------------------------------------------


def run(number, **known):
    return TaskRun(**{"id": f"id-{number}", "at_us": 1_700_000_000_000_000 + number, "name": "t", **known})


def test_hostile_text_stays_text(board, site):
    site.history.put(
        [
            run(
                1,
                id=f"1{HOSTILE}",
                name=HOSTILE,
                state="FAILURE",
                worker=HOSTILE,
                queue=HOSTILE,
                entry=HOSTILE,
                error=HOSTILE,
                arguments=Arguments.of_call([HOSTILE], {HOSTILE: HOSTILE}),
            )
        ],
        [],
    )
    site.history.note_gap(Gap(1, 2, HOSTILE))
    client = board()

    for path in ("/", "/runs", f"/runs?text={HOSTILE!r}&state=<script>&task=<script>"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert not set(text) & {"\x1b", "\u202e"}
    assert html.escape("<script>alert(1)</script>") in client.get("/runs").text
    told = client.get("/api/v1/runs")
    assert told.headers["content-type"] == "application/json"
    assert told.json()["runs"][0]["task"] == HOSTILE


def test_runs_are_narrowed_and_paged_by_what_stands_in_the_url(store, board):
    site = Site(App("shop", broker="memory://"), store)
    site.open()
    site.history.put([run(number, state="FAILURE" if number % 2 else "SUCCESS") for number in range(120)], [])
    admission = Admission(host="127.0.0.1", hosts=frozenset({"testserver"}))
    client = TestClient(Dashboard(site, admission, pages()), base_url=OURS)

    seen, after = [], ""
    while True:
        told = client.get("/api/v1/runs", params={"state": "FAILURE", "after": after}).json()
        seen += [each["id"] for each in told["runs"]]
        after = told["after"]
        if not after:
            break

    site.close()
    assert seen == [f"id-{number}" for number in range(119, 0, -2)]
    assert told["number"] == 60


@pytest.mark.parametrize("query", ["since=yesterday", "after=x", "until=0001-01-01T00:00"])
def test_a_field_that_says_nothing_is_refused_in_a_sentence(board, query):
    answer = board().get(f"/api/v1/runs?{query}")

    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        assert query.partition("=")[0] in answer.json()["detail"]


def test_the_overview_tells_what_the_store_knows(store):
    site = Site(App("shop", broker="memory://"), store)
    site.open()
    now_us = site.now_us()
    site.schedules.add("soon", task="t", every="1h")
    site.history.put(
        [run(1, at_us=now_us - 1, state="FAILURE", error="boom"), run(2, at_us=now_us - 2, state="SUCCESS")],
        [],
        heard_us=now_us,
    )
    site.history.note_gap(Gap(1, 2, "nobody listened"))
    admission = Admission(host="127.0.0.1", hosts=frozenset({"testserver"}))
    client = TestClient(Dashboard(site, admission, pages()), base_url=OURS)

    told, text = client.get("/api/v1/overview").json(), client.get("/").text

    site.close()
    assert (told["leader"], told["schedules"], told["hour"]) == (None, 1, {"FAILURE": 1, "SUCCESS": 1})
    assert [each["error"] for each in told["failures"]] == ["boom"]
    assert told["heard_us"] == now_us
    assert [gap["reason"] for gap in told["gaps"]] == ["nobody listened"]
    assert "boom" in text
    assert "nobody listened" in text


def test_pages_say_that_the_store_is_away(tmp_path):
    site = Site(App("shop", broker="memory://"), "postgresql://127.0.0.1:1/none")
    site.open()
    admission = Admission(host="127.0.0.1", hosts=frozenset({"testserver"}))
    client = TestClient(Dashboard(site, admission, pages()), base_url=OURS)

    page, told, ready = (client.get(path) for path in ("/", "/api/v1/overview", "/readyz"))

    site.close()
    assert [page.status_code, told.status_code, ready.status_code] == [503, 503, 503]
    assert "store" in told.json()["detail"]
    assert client.get("/healthz").status_code == 200


def test_a_store_in_memory_is_refused():
    with pytest.raises(ScheduleError, match="memory"):
        Site(App("shop", broker="memory://"), "memory://")


def test_two_see_one_store(site, tmp_path):
    with Schedules(f"sqlite:///{tmp_path / 'web.db'}", cluster="shop") as other:
        other.add("b", task="t", every="1h")

    assert [each.name for each in site.schedules.list()] == ["b"]


# --- static files ------------------------------------------------------------------------------------------------------------


def test_what_others_wrote_is_as_they_wrote_it_and_has_their_licence():
    vendored = json.loads(STATIC.joinpath("vendored.json").read_text())

    for each in vendored:
        assert hashlib.sha256(STATIC.joinpath(each["file"]).read_bytes()).hexdigest() == each["sha256"]
        assert "Permission" in STATIC.joinpath(each["licence_file"]).read_text()
        assert each.keys() == {"file", "name", "version", "source", "licence", "licence_file", "sha256"}
    assert {each["name"] for each in vendored} == {"htmx.org", "uplot"}


def test_static_files_are_small_and_kept_for_good(board):
    client = board(tokens=BOTH)
    log_in(client, OPERATOR)
    page = client.get("/").text
    urls = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)

    answers = [client.get(url, headers={"Accept-Encoding": "gzip"}) for url in urls]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["cache-control"] for answer in answers} == {"public, max-age=31536000, immutable"}
    packed = len(gzip.compress(page.encode())) + sum(int(each.headers["content-length"]) for each in answers)
    assert packed < 60_000
    assert sum(len(file.read_bytes()) for file in STATIC.iterdir()) < 150_000
    assert client.get("/static/app.000000000000.js").status_code == 404
    assert client.get("/static/vendored.json").status_code == 404
