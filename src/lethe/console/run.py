"""What the waiting requests will cost and touch, and the run that fulfils them: seen first, then started."""

from __future__ import annotations

from collections import Counter

from lethe.console.asked import Asked, Changed, Go, View
from lethe.core.canonical import digest_json
from lethe.data.partition.guarantee import guarantee
from lethe.errors import RequestError
from lethe.forgetting import erasure
from lethe.forgetting.aside import not_going
from lethe.forgetting.plan import Plan
from lethe.forgetting.record import Run
from lethe.forgetting.run import current_plan
from lethe.forgetting.standing import ledger

_RUNS = "run: a flow is running in this workspace; nothing was started, look again when it has ended"


def shown(asked: Asked) -> View:
    """The plan of what waits; while a flow runs, how far it is."""
    busy, last = asked.console.runs.busy, asked.console.runs.last()
    plan = None if busy else current_plan(asked.workspace)
    values = {
        "busy": busy,
        "last": last,
        "progress": _progress(asked),
        "left_out": not_going(asked.workspace),
        "plan": plan,
        "seen": "" if plan is None else seen_as(plan),
        "guarantee": guarantee,
    }
    return View("run", values)


def stores(asked: Asked) -> View:
    """What the run would take out of each store; it takes a while to look."""
    return View("stores", {"shares": erasure.dry_run(asked.workspace)})


def start(asked: Asked) -> Go:
    """Start the run, if what waits is still what was looked at."""
    if asked.console.runs.busy:
        raise Changed(_RUNS)
    plan = current_plan(asked.workspace)
    if asked.form.text("seen") != seen_as(plan):
        raise Changed("plan: it has changed since this page was loaded; nothing was started, look at it again")
    if not plan.requests:
        raise RequestError("run: nothing waits, so there is nothing to start")
    if not asked.console.runs.start(asked.session.name):
        raise Changed(_RUNS)
    return Go("/ui/run", "started")


def seen_as(plan: Plan) -> str:
    """What tells one plan from another: whom it is for, and which shards it touches."""
    families = [[family.served.family, list(family.touched)] for family in plan.families]
    return digest_json([[request.id for request in plan.requests], families])


def _progress(asked: Asked) -> list[tuple[str, int]]:
    """How many of the requests of a run that is under way are in each state."""
    run = Run.read(asked.workspace)
    if run is None:
        return []
    return sorted(Counter(request.state for request in ledger(asked.workspace).get_all(run.requests)).items())
