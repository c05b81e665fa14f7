"""A project from Python: what the commands do, as methods that return values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lethe.core.canonical import Json
from lethe.core.format import must_fit
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, LetheError

if TYPE_CHECKING:
    from lethe.forgetting.intake import Answer
    from lethe.forgetting.ledger.requests import ForgetRequest
    from lethe.proof.compare import Comparison
    from lethe.serving.answers import Recommended, Similar
    from lethe.serving.desk import Desk


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
        return self._desk().recommend(user_id, k, family, context=context, history=history)

    def similar(self, item_id: int | str, k: int = 10, family: str | None = None) -> Similar:
        """The nearest items of an item."""
        return self._desk().similar_items(item_id, k, family)

    def metrics(self) -> Json:
        """{dataset: {family: {candidate: {part: {metric: value}}}}} of the last training."""
        path = self.workspace.reports / "metrics.json"
        if not path.is_file():
            raise LetheError("metrics: nothing is trained yet; call train(), or run lethe train")
        metrics: Json = json.loads(path.read_bytes())
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
        from lethe.proof.verification import verify

        return verify(self.workspace, sample=sample)

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
