"""Full ranking with masked seen items: metrics, their means, and whether two recommenders differ."""

from lethe.evaluation.contextual import evaluate_situations
from lethe.evaluation.metrics import METRICS
from lethe.evaluation.ranking import evaluate, evaluate_users, means, popularity
from lethe.evaluation.significance import Comparison, paired_t_test

__all__ = [
    "METRICS",
    "Comparison",
    "evaluate",
    "evaluate_situations",
    "evaluate_users",
    "means",
    "paired_t_test",
    "popularity",
]
