"""The BentoML service: the desk behind HTTP, and nothing else.

Readiness and liveness (/readyz, /livez), metrics and the pages at / are BentoML's. The routes are a FastAPI application
mounted in it, because BentoML's own endpoints know no GET, document no unions, and log a request they refuse with
everything it held. All of them are in /docs.json.

Environment: LETHE_DEPLOYMENT is the path of deployment.json (default: the one shipped in the bento);
LETHE_HIDDEN_USERS that of the list of hidden users, which must be named and there where the first one is. Both are
read when a worker starts; the list again whenever it changes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import bentoml
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException

import lethe
from lethe.errors import DeploymentError
from lethe.serving.answers import Recommended, ServedModels, Similar
from lethe.serving.deployment import Deployment
from lethe.serving.desk import BadRequest, Desk, NotServed, clip
from lethe.serving.drain import Drain, drain_before_shutdown
from lethe.serving.hidden import HiddenUsers
from lethe.tables.ids import id_fault


def _raw_id(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be an integer or text")
    if fault := id_fault(str(value)):
        raise ValueError(fault)
    return value


RawId = Annotated[int | str, BeforeValidator(_raw_id)]
Rating = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1)]


class Body(BaseModel):
    """A request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    k: Count = 10
    family: str | None = None


class ForUser(Body):
    """``history`` (items, oldest first; ``ratings`` of them, if there are) answers whoever the model doesn't know, and
    adds to what it knows of others. ``context`` {field: value} is for families whose model looks at contexts."""

    user_id: RawId
    context: Annotated[dict[str, RawId], Field(max_length=100)] | None = None
    history: Annotated[list[RawId], Field(max_length=10_000)] | None = None
    ratings: Annotated[list[Rating], Field(max_length=10_000)] | None = None


class ForItem(Body):
    item_id: RawId


class Refusal(BaseModel):
    """Why a request is refused: field, value, rule."""

    error: str


api = FastAPI(
    title="Lethe",
    docs_url=None,
    redoc_url=None,
    responses={404: {"model": Refusal}, 422: {"model": Refusal}},
)
api.add_middleware(Drain)


@api.exception_handler(RequestValidationError)
async def _malformed(_: Request, error: RequestValidationError) -> JSONResponse:
    fault = error.errors()[0]
    field = ".".join(str(part) for part in fault["loc"][1:] if isinstance(part, str)) or "body"
    if fault["type"] == "json_invalid":
        return _refuse(422, "body: must be valid JSON")
    value = "" if fault["type"] == "missing" else f" {clip(fault['input'])}"
    return _refuse(422, f"{field}:{value} {fault['msg'].removeprefix('Value error, ')}")


@api.exception_handler(HTTPException)
async def _other(_: Request, error: HTTPException) -> JSONResponse:
    # FastAPI's 400 is a body that isn't even text, or holds a number with too many digits.
    return _refuse(error.status_code, "body: must be valid JSON" if error.status_code == 400 else str(error.detail))


@api.exception_handler(BadRequest)
async def _bad(_: Request, error: BadRequest) -> JSONResponse:
    return _refuse(422, str(error))


@api.exception_handler(NotServed)
async def _not_served(_: Request, error: NotServed) -> JSONResponse:
    return _refuse(404, str(error))


def _refuse(status: int, line: str) -> JSONResponse:
    return JSONResponse({"error": line}, status)


def _hidden_users() -> HiddenUsers:
    path = os.environ.get("LETHE_HIDDEN_USERS")
    if path:
        return HiddenUsers.at_start(Path(path))
    if os.environ.get("LETHE_DEPLOYMENT"):
        raise DeploymentError("LETHE_HIDDEN_USERS: must name the list of hidden users, as lethe serve does")
    return HiddenUsers(None)


@bentoml.service(logging={"access": {"enabled": False}})
@bentoml.asgi_app(api)
class Recommender:
    """Recommendations from the pinned version of each family."""

    def __init__(self) -> None:
        drain_before_shutdown()
        shipped = Path(lethe.__file__).resolve().parents[1] / "deployment.json"
        deployment = Deployment.read(Path(os.environ.get("LETHE_DEPLOYMENT") or shipped))
        self.desk = Desk.load(deployment, lambda tag: Path(bentoml.models.get(tag).path), _hidden_users())

    @api.post("/recommend", response_model=Recommended)
    async def recommend(self, request: ForUser) -> Recommended:
        """The best items a user has not seen; the popular ones for a user the model doesn't know."""
        return self.desk.recommend(
            request.user_id,
            request.k,
            request.family,
            context=request.context,
            history=request.history,
            ratings=request.ratings,
        )

    @api.post("/similar_items", response_model=Similar)
    async def similar_items(self, request: ForItem) -> Similar:
        """The items nearest to an item."""
        return self.desk.similar_items(request.item_id, request.k, request.family)

    @api.get("/model", response_model=ServedModels)
    async def model(self) -> ServedModels:
        """What is served: version, data digest and guarantee of each family; the bento; the worker's process id."""
        return ServedModels(**dict(self.desk.describe()), pid=os.getpid())
