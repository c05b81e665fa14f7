"""Full ranking with masked seen items, errors of ratings, what stands beside a mean, which recommender is better."""

from lethe.evaluation.contextual import evaluate_situations, rank_situations
from lethe.evaluation.metrics import METRICS
from lethe.evaluation.quality import Quality
from lethe.evaluation.ranking import evaluate, evaluate_users, means, popularity, rank_users
from lethe.evaluation.rating import ERRORS, evaluate_ratings, predict_by_scores
from lethe.evaluation.significance import PairedTest, paired_t_test

__all__ = [
    "ERRORS",
    "METRICS",
    "PairedTest",
    "Quality",
    "evaluate",
    "evaluate_ratings",
    "evaluate_situations",
    "evaluate_users",
    "means",
    "paired_t_test",
    "popularity",
    "predict_by_scores",
    "rank_situations",
    "rank_users",
]
