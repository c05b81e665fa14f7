"""A forget request from the command line to its certificate: the steps of ``flows/forgetting.py`` as functions."""

from lethe.fulfilment.completion import complete
from lethe.fulfilment.erasure import erase, forecast, must_be_clean, stores
from lethe.fulfilment.intake import current_plan, ledger, pending, submit
from lethe.fulfilment.rollback import roll_back
from lethe.fulfilment.run import Run, begin, confirm, remove_rows, suppress

__all__ = [
    "Run",
    "begin",
    "complete",
    "confirm",
    "current_plan",
    "erase",
    "forecast",
    "ledger",
    "must_be_clean",
    "pending",
    "remove_rows",
    "roll_back",
    "stores",
    "submit",
    "suppress",
]
