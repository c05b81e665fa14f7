"""The service's routes: a body of ``asking``, a method of the desk, an answer of ``answers``; no more.

Each is there as /v1/NAME, and as /NAME for who asked before there was a /v1. The desk is ``app.state.desk``, put there
when a worker has loaded its packages.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

import lethe
from lethe.serving.access import Role
from lethe.serving.answers import Batch, Explained, Person, Recommended, Scores, ServedModels, Similar, Taken
from lethe.serving.asking import ForEvents, ForItem, ForPerson, ForReasons, ForScores, ForUser, ForUsers, refusal
from lethe.serving.bodies import BodyRoute
from lethe.serving.desk import BadRequest, Desk, NotServed
from lethe.serving.events import Unavailable
from lethe.serving.figures import CONTENT_TYPE, Figures
from lethe.serving.gate import RETRY_AFTER

A = TypeVar("A")


class Refusal(BaseModel):
    """Why a request is refused: field, value, rule."""

    error: str


def _desk(request: Request) -> Desk:
    # Not a dependency of FastAPI's: solving one costs as much as scoring a user against a few thousand items.
    desk: Desk = request.app.state.desk
    return desk


def _by_operator(request: Request) -> bool:
    """Whether who asks may see who is known; without a gate before us it is whoever runs us."""
    roles: frozenset[Role] = getattr(request.state, "roles", frozenset(Role))
    return Role.OPERATOR in roles


router = APIRouter(route_class=BodyRoute)


async def _work(desk: Desk, cells: int, work: Callable[[], A]) -> A:
    """Small work is done at once; what takes long, beside the loop, so that other requests are answered meanwhile."""
    return work() if cells <= desk.deployment.limits.scored_aside else await to_thread.run_sync(work)


def _signed(answer: Recommended, operator: bool) -> Recommended:
    return answer.model_copy(update={"recommendation_id": _new_id(), "known": answer.known if operator else None})


def _count(request: Request, *answers: Recommended) -> None:
    figures: Figures = request.app.state.figures
    for answer in answers:
        figures.answered(answer.family, answer.source)


def _sent(answer: BaseModel) -> Response:
    """An answer as it is sent. It is checked where it is made; FastAPI would check and copy it once more."""
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


def _new_id() -> str:
    return f"rec-{secrets.token_hex(8)}"


@router.post("/recommend", response_model=Recommended)
async def recommend(asked: ForUser, request: Request) -> Response:
    """The best items a user has not seen; the popular ones for a user the model doesn't know."""
    desk = _desk(request)

    def work() -> Recommended:
        return desk.recommend(
            asked.user_id,
            asked.k,
            asked.family,
            context=asked.context,
            history=asked.history,
            ratings=asked.ratings,
            wish=asked,
        )

    answer = await _work(desk, desk.cells(asked.family, 1 + 9 * bool(asked.history)), work)
    _count(request, answer)
    return _sent(_signed(answer, _by_operator(request)))


@router.post("/recommend/batch", response_model=Batch)
async def recommend_batch(asked: ForUsers, request: Request) -> Response:
    """The best unseen items of each of many users, scored together."""
    desk = _desk(request)
    cells = desk.cells(asked.family, len(asked.user_ids))
    answers = await _work(desk, cells, lambda: desk.recommend_many(asked.user_ids, asked.k, asked.family, asked))
    operator = _by_operator(request)
    _count(request, *answers)
    return _sent(Batch(answers=[_signed(answer, operator) for answer in answers]))


@router.post("/similar_items", response_model=Similar)
async def similar_items(asked: ForItem, request: Request) -> Response:
    """The items nearest to an item, or to several."""
    desk = _desk(request)
    cells = desk.cells(asked.family)
    answer = await _work(desk, cells, lambda: desk.similar_items(asked.items, asked.k, asked.family, asked))
    return _sent(answer.model_copy(update={"recommendation_id": _new_id()}))


@router.post("/score", response_model=Scores)
async def score(asked: ForScores, request: Request) -> Scores:
    """The scores of given items for a user, seen or not."""
    desk = _desk(request)

    def work() -> Scores:
        return desk.scores(asked.user_id, asked.item_ids, asked.family, context=asked.context, history=asked.history)

    return await _work(desk, desk.cells(asked.family), work)


@router.post("/explain", response_model=Explained)
async def explain(asked: ForReasons, request: Request) -> Explained:
    """Which of the user's items most carried an item's score."""
    desk = _desk(request)

    def work() -> Explained:
        return desk.explain(asked.user_id, asked.item_id, asked.k, asked.family, asked.history)

    return await _work(desk, desk.cells(asked.family, 10), work)


@router.post("/events", response_model=Taken, responses={503: {"model": Refusal}})
async def events(asked: ForEvents, request: Request) -> Taken:
    """What a user did just now: the next answer follows it, until the next training knows it from the data."""
    desk = _desk(request)

    def work() -> Taken:
        came_of = asked.recommendation_id
        return desk.take(asked.user_id, asked.item_ids, asked.family, ratings=asked.ratings, recommendation_id=came_of)

    # It may have to wait for another worker to write.
    return await to_thread.run_sync(work)


@router.post("/person", response_model=Person)
async def person(asked: ForPerson, request: Request) -> Person:
    """For the privacy officer: which families know somebody, and in which datasets they are hidden."""
    return _desk(request).person(asked.user_id)


@router.get("/model", response_model=ServedModels)
async def model(request: Request) -> ServedModels:
    """What is served: version, data digest and guarantee of each family; the bento; the worker's process id."""
    return ServedModels(**dict(_desk(request).describe()), pid=os.getpid())


async def metrics(request: Request) -> Response:
    """For Prometheus. What is looked up may take a moment."""
    figures: Figures = request.app.state.figures
    return Response(await to_thread.run_sync(figures.text), media_type=CONTENT_TYPE)


async def index() -> dict[str, object]:
    """What this is, and where to go on."""
    return {"name": "lethe", "version": lethe.__version__, "links": {"api": "/v1", "schema": "/openapi.json"}}


def application() -> FastAPI:
    """The routes as an application, without BentoML and without a desk."""
    app = FastAPI(
        title="Lethe",
        version=lethe.__version__,
        docs_url=None,
        redoc_url=None,
        responses={404: {"model": Refusal}, 422: {"model": Refusal}},
    )
    app.state.figures = Figures()
    app.include_router(router, prefix="/v1")
    app.include_router(router, include_in_schema=False)
    # BentoML's own page here would load a foreign script.
    app.get("/", include_in_schema=False)(index)
    app.get("/v1", include_in_schema=False)(index)
    app.get("/metrics", include_in_schema=False)(metrics)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    if fault["type"] == "json_invalid":
        return _refuse(422, "body: must be valid JSON")
    if len(fault["loc"]) == 1 and isinstance(fault.get("input"), bytes):
        return _refuse(422, "content-type: must be application/json, with a body of JSON")
    return _refuse(422, refusal(fault, fault["loc"][1:]))


async def _other(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = _refuse(error.status_code, _LINES.get(error.status_code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer


_LINES = {
    # FastAPI's 400 is a body that isn't even text, or holds a number with too many digits.
    400: "body: must be valid JSON",
    404: "path: is no route of this service; /openapi.json lists them",
    405: "method: is not one of this route; /openapi.json says which are",
}


async def _broken(_: Request, error: Exception) -> JSONResponse:
    # What broke is for the log, and its text for nobody.
    return _refuse(500, "service: a fault of ours, nothing was answered; its log has the kind of it")


async def _bad(_: Request, error: Exception) -> JSONResponse:
    return _refuse(422, str(error))


async def _not_served(_: Request, error: Exception) -> JSONResponse:
    return _refuse(404, str(error))


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 503, {"retry-after": str(RETRY_AFTER)})


_HANDLERS = {
    RequestValidationError: _malformed,
    HTTPException: _other,
    BadRequest: _bad,
    NotServed: _not_served,
    Unavailable: _unavailable,
    Exception: _broken,
}


def _refuse(status: int, line: str) -> JSONResponse:
    return JSONResponse({"error": line}, status)
