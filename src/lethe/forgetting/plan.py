"""What requests will touch and cost: shards, rows, seconds, the earliest due date, what each sharding can promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lethe.build.costs import Costs
from lethe.build.recipe import Recipe
from lethe.config.params import Params
from lethe.config.section import Section
from lethe.config.sharding import Sharding, laid_in
from lethe.core.canonical import Json
from lethe.core.workspace import Workspace
from lethe.data.partition.guarantee import guarantee, residues
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.touched import Predicted, Shard, predict, shards_of
from lethe.learning.aggregation import aggregator_of
from lethe.tables.reader import Reader


@dataclass(frozen=True)
class Served:
    """A served family and the recipe it was promoted with."""

    family: str
    recipe: Recipe


@dataclass(frozen=True)
class Alternative:
    """What the same requests would touch and cost under another sharding."""

    sharding: str
    layout: Sharding
    shards: dict[str, Shard]
    predicted: Predicted

    def to_json(self) -> Json:
        return {
            "sharding": self.sharding,
            "shards": len(self.shards),
            "shards_touched": len(_touched(self.shards)),
            "guarantee": guarantee(self.layout),
            "predicted": self.predicted.to_json(),
        }


@dataclass(frozen=True)
class FamilyPlan:
    """What the requests touch and cost in one served family."""

    served: Served
    shards: dict[str, Shard]
    predicted: Predicted
    alternatives: tuple[Alternative, ...] = ()

    @property
    def touched(self) -> tuple[str, ...]:
        return _touched(self.shards)

    @property
    def rows(self) -> int:
        """Rows it learnt that leave."""
        return sum(shard.gone for shard in self.shards.values())

    def to_json(self) -> Json:
        recipe = self.served.recipe
        return {
            "family": self.served.family,
            "dataset": recipe.dataset,
            "sharding": recipe.sharding,
            "partition": recipe.layout.partition,
            "shards": len(self.shards),
            "shards_touched": list(self.touched),
            "rows": self.rows,
            "predicted": self.predicted.to_json(),
            "alternatives": [alternative.to_json() for alternative in self.alternatives],
            "guarantee": guarantee(recipe.layout),
            "residues": [residue.plain() for residue in residues(recipe.layout)],
        }

    def record(self) -> PlannedFamily:
        recipe = self.served.recipe
        return PlannedFamily(
            family=self.served.family,
            dataset=recipe.dataset,
            touched=self.touched,
        )


class PlannedFamily(Section):
    """What of a family's plan is kept until the requests are completed: names and promises, nobody's id."""

    family: str
    dataset: str
    touched: tuple[str, ...]
    """Names of the shards that hold the subjects."""


def _touched(shards: dict[str, Shard]) -> tuple[str, ...]:
    return tuple(name for name, shard in shards.items() if shard.touched)


@dataclass(frozen=True)
class Plan:
    """A batch of requests fulfilled together: each touched shard is rebuilt once."""

    requests: tuple[ForgetRequest, ...]
    families: tuple[FamilyPlan, ...]

    @property
    def due(self) -> datetime | None:
        """The earliest due date."""
        return min((request.due for request in self.requests), default=None)

    def begin_by(self, lead: timedelta) -> datetime | None:
        """Until when further requests may join: the earliest due date, less ``lead`` and twice the predicted time."""
        seconds = sum(family.predicted.seconds or 0.0 for family in self.families)
        return self.due - lead - 2 * timedelta(seconds=seconds) if self.due else None

    def lines(self) -> list[str]:
        """For people to read."""
        if self.due is None:
            return ["nothing to forget"]
        lines = [f"{len(self.requests)} requests, due {self.due:%Y-%m-%d}"]
        for one in self.families:
            shards = ", ".join(one.touched) or "none"
            lines.append(f"{one.served.family}: {one.rows} rows, shards {shards} of {len(one.shards)}")
            lines.append(f"  {one.predicted}; {guarantee(one.served.recipe.layout)}")
            for other in one.alternatives:
                shards = f"{len(_touched(other.shards))} of {len(other.shards)} shards"
                lines.append(f"  under {other.sharding}: {shards}, {other.predicted}")
        return lines

    def record(self) -> tuple[PlannedFamily, ...]:
        """What a run keeps of it."""
        return tuple(family.record() for family in self.families)

    def to_json(self) -> Json:
        """Without ids of people."""
        return {
            "requests": [
                {"id": r.id, "dataset": r.dataset, "kind": r.kind, "state": r.state, "due": r.due.isoformat()}
                for r in self.requests
            ],
            "families": [family.to_json() for family in self.families],
            "due": self.due.isoformat() if self.due else None,
        }


def plan(
    workspace: Workspace,
    requests: Sequence[ForgetRequest],
    served: Sequence[Served],
    *,
    costs: Costs | None = None,
    params: Params | None = None,
    reader: Reader | None = None,
) -> Plan:
    """Look the subjects up in the shard tables, side tables included, of every served family of their datasets, and
    predict the work.

    With ``params`` its other shardings are compared with; one whose tables don't exist is left out. Where a family
    serves a build on the training part, a user whose rows are all in validation or test touches no shard; what is made
    of them is rebuilt all the same.
    """
    touching, reader = {request.dataset for request in requests}, reader or Reader()
    families = [
        _family(workspace, requests, one, costs or Costs(), params, reader)
        for one in served
        if one.recipe.dataset in touching
    ]
    return Plan(tuple(requests), tuple(families))


def _family(
    workspace: Workspace,
    requests: Sequence[ForgetRequest],
    served: Served,
    costs: Costs,
    params: Params | None,
    reader: Reader,
) -> FamilyPlan:
    recipe = served.recipe
    mine = [request for request in requests if request.dataset == recipe.dataset]
    shards = shards_of(workspace, recipe, mine, reader)
    alternatives = []
    for name, layout in params.shardings.items() if params else ():
        if name == recipe.sharding or not workspace.shards(recipe.dataset, laid_in(name, recipe.rows)).is_dir():
            continue
        settings = params.aggregators.get(layout.aggregator, {}) if params else {}
        aggregator = aggregator_of(layout.aggregator).Config.parse(settings, f"aggregators.{layout.aggregator}").plain()
        other = recipe.model_copy(update={"sharding": name, "layout": layout, "aggregator": aggregator})
        laid = shards_of(workspace, other, mine, reader)
        alternatives.append(Alternative(name, layout, laid, predict(other, laid, costs)))
    return FamilyPlan(served, shards, predict(recipe, shards, costs), tuple(alternatives))
