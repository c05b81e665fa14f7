"""A project from Python: what the commands do, as methods that return values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from lethe.core.canonical import Json
from lethe.core.files import read_json
from lethe.core.format import must_fit
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, LetheError, RequestError

if TYPE_CHECKING:
    from lethe.forgetting.intake import Answer
    from lethe.forgetting.ledger.requests import ForgetRequest
    from lethe.proof.compare import Comparison
    from lethe.serving.answers import Recommended, Similar
    from lethe.serving.desk import Desk

B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True)
class Project:
    """A folder with params.yaml. Answers come from what is promoted, as the service gives them after a deploy: who
    asked to be forgotten gets popular items."""

    workspace: Workspace

    @classmethod
    def open(cls, path: str | Path = ".") -> Project:
        """The project that holds ``path``. Raises ConfigError where there is none, or it is of another Lethe."""
        if not Path(path).is_dir():
            raise ConfigError(f"{path}: is no folder; lethe init {path} makes a project")
        workspace = Workspace.find(Path(path))
        must_fit(workspace)
        return cls(workspace)

    def train(self) -> Json:
        """Bring the data up to date, train, promote; returns all candidates and winners."""
        from lethe.build.reports import read_reports, together

        self._run("training")
        return json.loads(json.dumps(together(read_reports(self.workspace))))

    def recommend(
        self,
        user_id: int | str,
        k: int = 10,
        family: str | None = None,
        *,
        context: dict[str, int | str] | None = None,
        history: Sequence[int | str] | None = None,
    ) -> Recommended:
        """Items for a user, best first, and where they come from."""
        from lethe.serving.asking import ForUser

        asked = _asked(ForUser, user_id=user_id, k=k, family=family, context=context, history=history)
        return self._desk().recommend(
            asked.user_id, asked.k, asked.family, context=asked.context, history=asked.history
        )

    def similar(self, item_id: int | str, k: int = 10, family: str | None = None) -> Similar:
        """The nearest items of an item."""
        from lethe.serving.asking import ForItem

        asked = _asked(ForItem, item_id=item_id, k=k, family=family)
        return self._desk().similar_items(asked.items, asked.k, asked.family)

    def metrics(self) -> Json:
        """{dataset: {family: {candidate: {part: {metric: value}}}}} of the last training."""
        path = self.workspace.reports / "metrics.json"
        if not path.is_file():
            raise LetheError("metrics: nothing is trained yet; call train(), or run lethe train")
        metrics: Json = read_json(path, dict)
        return metrics

    def forget(
        self,
        user_id: int | str,
        dataset: str | None = None,
        *,
        items: Sequence[int | str] = (),
        everywhere: bool = False,
    ) -> list[Answer]:
        """Take a request; from now on the user is answered from popularity. ``fulfil`` then removes the data."""
        from lethe.forgetting.intake import Ask, Terms, submit_all

        # The rule of an id is the ledger's; here only what text would hide: 5.0, None, a text in place of a list.
        if isinstance(items, str) or not all(_may_be_id(raw) for raw in (user_id, *items)):
            raise RequestError("user, items: an id must be an integer or text, items a list of such")
        ask = Ask(str(user_id), tuple(map(str, items)))
        return submit_all(self.workspace, dataset, [ask], Terms(actor="python"), everywhere=everywhere)

    def fulfil(self) -> list[ForgetRequest]:
        """Fulfil what waits: remove, retrain, redeploy, purge, certify; returns those requests as they then are."""
        from lethe.forgetting.standing import ledger

        waiting = [request.id for request in ledger(self.workspace).open()]
        self._run("forgetting")
        return ledger(self.workspace).get_all(waiting)

    def verify(self, sample: int | None = None) -> Comparison:
        """Rebuild what is served from the remaining data, or a sample of it, and compare every digest."""
        from lethe.proof.apart import verify_anywhere

        if sample is not None and sample < 1:
            raise ConfigError(f"sample: {sample} must be at least 1")
        return verify_anywhere(self.workspace, sample)

    def _desk(self) -> Desk:
        from lethe.build.registry import Registry, tags_to_deploy
        from lethe.forgetting.standing import publish_hidden
        from lethe.serving.bentos import deployment_of
        from lethe.serving.desk import Desk
        from lethe.serving.hidden import HiddenUsers

        registry, tags = Registry(self.workspace), tags_to_deploy(self.workspace)
        publish_hidden(self.workspace)
        hidden = HiddenUsers.at_start(self.workspace.hidden_users)
        return Desk.load(deployment_of(self.workspace, tags), registry.folder, hidden)

    def _run(self, flow: str) -> None:
        from lethe.core.process import run_flow

        if code := run_flow(self.workspace, flow):
            raise LetheError(f"{flow}: it ended with exit code {code}, and said why on standard error")


def _may_be_id(raw: object) -> bool:
    return isinstance(raw, Integral | str) and not isinstance(raw, bool)


def _asked(kind: type[B], **given: Any) -> B:
    """What is asked, held to the rules of the service. Raises BadRequest, as it would refuse."""
    from lethe.serving.asking import plain, refusal
    from lethe.serving.desk import BadRequest

    try:
        return kind.model_validate({name: plain(value) for name, value in given.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadRequest(refusal(fault, fault["loc"])) from None
