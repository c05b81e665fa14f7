"""The pages as an application: who may see which, how a form comes in, what a fault looks like.

A page is a function from ``Asked`` to an answer; this module alone knows HTTP. Whatever is sent must carry the token of
the session's own pages. What is refused shows the page again, as it was filled in, with one line.
"""

from __future__ import annotations

from dataclasses import replace

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from lethe.config.params import Params
from lethe.console import certificates, entering, figures, requests, run, trying
from lethe.console.asked import Answer, Asked, Changed, Console, File, Form, Go, Page, View
from lethe.console.flow import Runs
from lethe.console.gate import Gate, broken
from lethe.console.reading import Malformed, TooLarge, read_form
from lethe.console.render import HERE, html
from lethe.console.rooms import ROOMS, rooms_of
from lethe.console.sessions import COOKIE, NONE, NotLoggedIn, Session, Sessions
from lethe.core.logs import said_of
from lethe.core.workspace import Workspace
from lethe.errors import LetheError, RequestError
from lethe.serving.access import Keys
from lethe.serving.gate import Rates

LOGINS = 5.0
"""Logins a second of one address, with as many at once: keys are long, but nobody needs to try many."""


def application(workspace: Workspace, known: Keys | None = None) -> ASGIApp:
    """The console of a workspace; ``known``: the keys that open it, by default those of the environment."""
    settings = Params.read(workspace.params).console
    sessions = Sessions(Keys.from_environment() if known is None else known, settings.session_minutes)
    console, rates = Console(workspace, sessions, Runs(workspace)), Rates(LOGINS)
    routes = [
        Route("/", lambda _: RedirectResponse("/ui")),
        Route("/livez", lambda _: PlainTextResponse("alive\n")),
        Route("/ui", _Desk(console, "", _first)),
        Route("/ui/login", _Login(console, rates)),
        Route("/ui/logout", _Logout(console, "", None)),
        *(
            Route(path, _Desk(console, room, show, change))
            for room, path, show, change in (
                ("requests", "/ui/requests", requests.listed, None),
                ("requests", "/ui/requests/new", entering.form, entering.take),
                ("requests", "/ui/requests/file", entering.file_form, entering.take_file),
                ("requests", "/ui/requests/{id}", requests.shown, requests.change),
                ("run", "/ui/run", run.shown, run.start),
                ("run", "/ui/run/stores", run.stores, None),
                ("certificates", "/ui/certificates", certificates.listed, certificates.checked),
                ("certificates", "/ui/certificates/{id}", certificates.shown, None),
                ("certificates", "/ui/certificates/{id}/file", certificates.file, None),
                ("certificates", "/ui/certificates/{id}/key", certificates.key, None),
                ("models", "/ui/models", figures.models, None),
                ("models", "/ui/models/{family}", figures.family, None),
                ("drift", "/ui/drift", figures.drift, None),
                ("try", "/ui/try", trying.form, trying.ask),
            )
        ),
        Mount("/ui/static", StaticFiles(directory=HERE / "static")),
    ]
    return Gate(Starlette(routes=routes, exception_handlers={Exception: broken}))


class _Desk:
    """One address: ``show`` answers what is read, ``change`` what is sent."""

    def __init__(self, console: Console, room: str, show: Page | None, change: Page | None = None) -> None:
        self.console, self.room, self.show, self.change = console, room, show, change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        session = self.console.sessions.read(request.cookies.get(COOKIE))
        request.state.key = session.name if session.role else None
        asked = Asked(self.console, session, request.path_params, request.query_params)
        response = await self.answer(request, asked)
        await response(scope, receive, send)

    async def answer(self, request: Request, asked: Asked) -> Response:
        page = {"GET": self.show, "HEAD": self.show, "POST": self.change}.get(request.method)
        if page is None:
            return PlainTextResponse("method: is not one of this page\n", 405)
        session = asked.session
        if session.role is None:
            return self.login(request, asked)
        if self.room and session.role not in ROOMS[self.room].roles:
            roles = " or ".join(sorted(ROOMS[self.room].roles))
            line = f"role: your key is of the role {session.role}, this page needs {roles}"
            return self.fault(request, asked, line, 403)
        if request.method == "POST":
            return await self.sent(request, asked, page)
        try:
            return self.made(request, asked, await to_thread.run_sync(page, asked))
        except (LetheError, OSError) as error:
            return self.fault(request, asked, said_of(error), _status(error, RequestError, 404))

    def login(self, request: Request, asked: Asked) -> Response:
        """Where nobody is logged in: a page leads to the login, what was sent is refused in one line."""
        if request.method != "POST" and "hx-request" not in request.headers:
            return RedirectResponse("/ui/login", 303)
        return self.fault(request, asked, asked.session.ended, 401)

    async def sent(self, request: Request, asked: Asked, page: Page) -> Response:
        """A form: read, held against its session, done; or its page again, with the reason."""
        try:
            asked = replace(asked, form=await read_form(request, self.console.params.console.upload))
            if not from_here(request, asked.session, asked.form):
                line = "form: is not of this session; load the page again and send it once more, nothing was changed"
                return self.fault(request, asked, line, 403)
            return self.made(request, asked, await to_thread.run_sync(page, asked))
        except (TooLarge, Malformed) as error:
            return self.fault(request, asked, str(error), 413 if isinstance(error, TooLarge) else 400)
        except (LetheError, OSError) as error:
            return await self.again(request, asked, error)

    async def again(self, request: Request, asked: Asked, error: LetheError | OSError) -> Response:
        asked, status = replace(asked, problem=said_of(error)), _status(error, Changed, 409)
        if self.show is None:
            return self.fault(request, asked, asked.problem, status)
        try:
            answer = await to_thread.run_sync(self.show, asked)
        except (LetheError, OSError):
            return self.fault(request, asked, asked.problem, status)
        return self.made(request, asked, replace(answer, status=status) if isinstance(answer, View) else answer)

    def fault(self, request: Request, asked: Asked, line: str, status: int) -> Response:
        return self.made(request, replace(asked, problem=line), View("fault", status=status))

    def made(self, request: Request, asked: Asked, answer: Answer) -> Response:
        """An answer as it is sent. htmx is told where to go, and what of a page to take: of a refusal its line alone,
        so that what was typed stays."""
        swaps = "hx-request" in request.headers
        if isinstance(answer, File):
            named = {"content-disposition": f'attachment; filename="{answer.name}"'}
            return Response(answer.content, media_type=answer.media_type, headers=named)
        if isinstance(answer, Go):
            target = f"{answer.path}?done={answer.done}" if answer.done else answer.path
            return Response(headers={"hx-redirect": target}) if swaps else RedirectResponse(target, 303)
        part = "#problem" if asked.problem else "#page" if answer.done else ""
        taken = {"hx-retarget": part, "hx-reselect": part, "hx-reswap": "outerHTML"} if swaps and part else {}
        return HTMLResponse(html(asked, answer, self.room), answer.status, taken)


class _Login(_Desk):
    """The one page for whom nobody knows yet; its form carries a token as every other."""

    def __init__(self, console: Console, rates: Rates) -> None:
        super().__init__(console, "", None)
        self.rates = rates

    async def answer(self, request: Request, asked: Asked) -> Response:
        if request.method == "POST":
            return await self.let_in(request, asked)
        if asked.session.role is not None:
            return RedirectResponse("/ui", 303)
        if asked.session.ended != NONE:
            asked = replace(asked, problem=asked.session.ended)
        return self.page(request, asked, 200)

    async def let_in(self, request: Request, asked: Asked) -> Response:
        if not self.rates.take(request.client.host if request.client else ""):
            return self.page(request, replace(asked, problem="key: too many logins at once, wait a second"), 429)
        try:
            form = await read_form(request, 10_000)
            if not from_here(request, asked.session, form):
                raise NotLoggedIn("form: is not of this session; cookies must be allowed, send it once more")
            session, cookie = self.console.sessions.begin(form.text("key").strip(), asked.session)
        except LetheError as error:
            return self.page(request, replace(asked, problem=str(error)), 401)
        request.state.key = session.name
        return _with_cookie(request, RedirectResponse("/ui", 303), cookie)

    def page(self, request: Request, asked: Asked, status: int) -> Response:
        none = not self.console.sessions.known
        shown = HTMLResponse(html(asked, View("login", {"no_keys": none}), ""), status)
        return _with_cookie(request, shown, self.console.sessions.nobody(asked.session))


class _Logout(_Desk):
    """Ends the session; the page of the login says so."""

    async def answer(self, request: Request, asked: Asked) -> Response:
        try:
            form = await read_form(request, 10_000) if request.method == "POST" else Form()
        except LetheError as error:
            return self.fault(request, asked, str(error), 400)
        if not from_here(request, asked.session, form):
            return self.fault(request, asked, "form: is not of this session; nothing was changed", 403)
        cookie = self.console.sessions.nobody(Session.new())
        return _with_cookie(request, RedirectResponse("/ui/login?done=out", 303), cookie)


def _status(error: LetheError | OSError, kind: type[LetheError], status: int) -> int:
    """That of a refusal, or ``status`` where it is of this kind; of what the machine refuses (a full disk) 500."""
    return 500 if isinstance(error, OSError) else status if isinstance(error, kind) else 422


def from_here(request: Request, session: Session, form: Form) -> bool:
    """Whether a form was sent by a page of this session: no other page knows the token."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    return site in ("same-origin", "none") and session.sent(form.text("token"))


def _with_cookie(request: Request, response: Response, cookie: str) -> Response:
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, cookie, path="/ui", secure=secure, httponly=True, samesite="strict")
    return response


def _first(asked: Asked) -> Go:
    return Go(next(iter(rooms_of(asked.session.role).values())).path)
