"""The BentoML service: the routes, behind the gate, with a desk that is loaded when a worker starts.

Liveness and readiness (/livez, /readyz) are BentoML's. The routes are a FastAPI application mounted in it,
because BentoML's own endpoints know no GET, document no unions, and log a request they refuse with everything it held.
All of them are in /openapi.json.

Environment, read when a worker starts:

LETHE_DEPLOYMENT      the path of deployment.json; by default the one shipped in the bento
LETHE_HIDDEN_USERS    the list of hidden users: a file, or the URL of the ledger's database (sqlite:///PATH or
                      postgresql://USER@HOST/DATABASE), which has it too; it must be named where the first one is. A
                      service that can't read what is named does not start; one that is told nothing answers everybody
                      from popularity, and says so in /readyz.
LETHE_KEY_DIR         the key that the list was made under, without which nobody on it would be found
LETHE_API_KEYS, LETHE_API_KEYS_FILE   who may ask: ``lethe.serving.access``
LETHE_ITEM_FEATURES   the folder of the tables of item features: ``lethe.serving.features``
LETHE_LEDGER_URL, LETHE_REPORTS       what /metrics tells of beside answers: ``lethe.serving.watching``
LETHE_EVENTS          the buffer of what people do, where ``serving.events`` keeps any: ``lethe.serving.events``
BENTOML_CONFIG        BentoML's own settings, such as where traces go: ``lethe.serving.tracing``
"""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path
from typing import Any

import bentoml

import lethe
from lethe.core.logs import log_as_json
from lethe.errors import DeploymentError
from lethe.serving.access import Keys
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.drain import Drain, drain_before_shutdown
from lethe.serving.events import EventBuffer
from lethe.serving.figures import Figures
from lethe.serving.gate import Gate
from lethe.serving.hidden import Everybody, HiddenUsers, is_url
from lethe.serving.routes import application
from lethe.serving.tracing import traces
from lethe.serving.watching import looks

logger = logging.getLogger(__name__)

api = application()
api.add_middleware(Drain)


def hidden_users() -> HiddenUsers:
    """Whom this worker must not know, from where LETHE_HIDDEN_USERS says; everybody where nothing says it."""
    named = os.environ.get("LETHE_HIDDEN_USERS")
    if named and is_url(named):
        from lethe.serving.hidden_ledger import HiddenByLedger  # Not at the top: it brings sqlalchemy.

        return HiddenByLedger.begin(named)
    if named:
        return HiddenUsers.at_start(Path(named))
    if os.environ.get("LETHE_DEPLOYMENT"):
        raise DeploymentError("LETHE_HIDDEN_USERS: must name the list of hidden users, as lethe serve does")
    logger.error("LETHE_HIDDEN_USERS: is not set, nobody knows who is hidden: every user is answered from popularity")
    return Everybody()


def event_buffer(deployment: Deployment) -> EventBuffer | None:
    """The buffer of LETHE_EVENTS; None where the deployment keeps no events, or nothing says where."""
    named = os.environ.get("LETHE_EVENTS")
    if deployment.events is None:
        return None
    if not named:
        logger.error("LETHE_EVENTS: is not set, so no events are taken")
        return None
    return EventBuffer.begin(Path(named), deployment.events)


# Unless it is told that nothing is traced, BentoML makes three spans a request even where nobody collects any.
@bentoml.service(logging={"access": {"enabled": False}}, metrics={"enabled": False}, tracing={"excluded_urls": [".*"]})
@bentoml.asgi_app(api)
class Recommender:
    """Recommendations from the pinned version of each family."""

    def __init__(self) -> None:
        # Faults that BentoML and its server log have a traceback, whose text might hold anything.
        log_as_json("", "bentoml", "uvicorn.error")
        drain_before_shutdown()
        shipped = Path(lethe.__file__).resolve().parents[1] / "deployment.json"
        deployment = Deployment.read(Path(os.environ.get("LETHE_DEPLOYMENT") or shipped))
        features = os.environ.get("LETHE_ITEM_FEATURES")
        api.state.keys = Keys.from_environment()
        hidden = hidden_users()
        models = {tag: bentoml.models.get(tag) for tag in deployment.families.values()}
        folder = Path(features) if features else None
        events = event_buffer(deployment)
        api.state.desk = Desk.load(deployment, lambda tag: Path(models[tag].path), hidden, folder, events)
        made = {family: models[tag].creation_time for family, tag in deployment.families.items()}
        api.state.figures = Figures(*looks(made, hidden))
        api.state.traces = traces()
        # What is loaded stays until the worker ends: looking through it again for garbage stops every answer for .2 s.
        gc.collect()
        gc.freeze()

    @bentoml.on_shutdown
    def end(self) -> None:
        """Called when nothing is asked any more."""
        if api.state.traces is not None:
            api.state.traces.send()


_service: Any = Recommender  # what the decorator makes of the class
_service.add_asgi_middleware(Gate, state=api.state)
