"""Who is told when nobody looks, and what is done: automations of the Prefect server.

A run whose machine went away says nothing any more, and for the server it would run for ever, in the place of the
next. Once it has not been heard of for a while (``GONE_AFTER``) it counts as crashed, which gives its place free. Of
that, and of what else must be known, a webhook is called.

LETHE_WEBHOOK_URL    where to; it may hold a secret, so the server keeps it in a block and nothing shows it
LETHE_WEBHOOK_TOKEN  if it wants one: sent as Authorization: Bearer TOKEN

What is sent names a flow, a run and numbers, never a person. ``text`` is what chat services show of it.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import AutomationCore, CallWebhook, ChangeFlowRunState, EventTrigger, Posture
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from pydantic import BaseModel

from flows.watch import DUE, LEDGER
from lethe.errors import ConfigError

BLOCK = "lethe-alerts"
FAILED = "Lethe: a run failed"
NEAR = "Lethe: a due date is near"
GONE = "Lethe: a run is gone"
GONE_AFTER = timedelta(minutes=10)
"""Silence after which a run is gone; each tells of itself once a minute (PREFECT_FLOWS_HEARTBEAT_FREQUENCY)."""
_ALIVE = {f"prefect.flow-run.{said}" for said in ("Pending", "Submitting", "Running", "heartbeat")}
"""After these something more is to come."""
_ENDED_BADLY = {f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut")}
_RUN_FAILED = """{
 "text": {{ (flow_run.name ~ ": " ~ flow_run.state.name) | tojson }},
 "alert": "run-failed",
 "flow": {{ flow.name | tojson }},
 "run": {{ flow_run.name | tojson }},
 "state": {{ flow_run.state.name | tojson }},
 "url": {{ flow_run | ui_url | tojson }}
}"""
_DUE_NEAR = """{
 "text": "{{ event.payload.waiting }} forget request(s) due soon, hours left: {{ event.payload.hours_left }}",
 "alert": "due-date-near",
 "waiting": {{ event.payload.waiting | tojson }},
 "hours_left": {{ event.payload.hours_left | tojson }}
}"""


def install() -> bool:
    """Put the automations onto the server, in place of those of before; whether there is a webhook to call.

    Without LETHE_WEBHOOK_URL those of before that call one stay. Raises ConfigError.
    """
    _put(_gone())
    url, token = os.environ.get("LETHE_WEBHOOK_URL", ""), os.environ.get("LETHE_WEBHOOK_TOKEN", "")
    if not url:
        return False
    if not url.startswith(("http://", "https://")):
        raise ConfigError("LETHE_WEBHOOK_URL: must begin with https:// or http://")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    block: Any = Webhook(method="POST", url=url, headers=headers)
    for automation in _automations(block.save(BLOCK, overwrite=True)):
        _put(automation)
    return True


def _automations(webhook: UUID) -> list[AutomationCore]:
    # Flows that a scheduled one calls belong to no deployment: of what fails inside, the outermost is told.
    scheduled = [
        {"prefect.resource.role": "deployment", "prefect.resource.id": "prefect.deployment.*"},
        {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.lethe"},
    ]
    return [
        AutomationCore(
            name=FAILED,
            description="A scheduled run failed, crashed or took too long.",
            trigger=_each(_ENDED_BADLY, match_related=scheduled, for_each={"prefect.resource.id"}),
            actions=[CallWebhook(block_document_id=webhook, payload=_RUN_FAILED)],
        ),
        AutomationCore(
            name=NEAR,
            description="A forget request is due before the time kept in hand is over (forgetting.lead_hours).",
            trigger=_each({DUE}, match={"prefect.resource.id": LEDGER}),
            actions=[CallWebhook(block_document_id=webhook, payload=_DUE_NEAR)],
        ),
    ]


def _gone() -> AutomationCore:
    runs = {"prefect.resource.id": "prefect.flow-run.*"}
    said = f"not heard of for {GONE_AFTER.total_seconds() / 60:g} minutes: its machine or worker went away"
    return AutomationCore(
        name=GONE,
        description="A run that is not heard of any more counts as crashed, so that the next one can begin.",
        trigger=EventTrigger(
            # Whatever it says next, a heartbeat or how it ended, says that it was there.
            after=_ALIVE,
            expect={"prefect.flow-run.*"},
            match=runs,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=GONE_AFTER,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=said)],
    )


def _each(expect: set[str], **which: Any) -> EventTrigger:
    return EventTrigger(expect=expect, posture=Posture.Reactive, threshold=1, within=timedelta(0), **which)


def _core(kept: BaseModel) -> AutomationCore:
    """What we say of an automation, without what the server does."""
    said = {name: value for name, value in kept.model_dump(mode="json").items() if name in AutomationCore.model_fields}
    return AutomationCore.model_validate(said)


def _put(automation: AutomationCore) -> None:
    with get_client(sync_client=True) as client:
        there = client.read_automations_by_name(automation.name)
        for one in there[1:]:
            client.delete_automation(one.id)
        if there and _core(there[0]) == automation:
            # Nor is it written again: the server would forget whom it waits to hear from, and a worker that comes
            # back after its run was killed does this first of all.
            return
        if there:
            client.update_automation(there[0].id, automation)
        else:
            client.create_automation(automation)
