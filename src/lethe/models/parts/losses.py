"""Losses as functions of tensors. All are sums over what they are given, never means."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lethe.models.parts.placed import RowBatch
from lethe.models.solvers.pull import form, owners_of, scored


def non_sampling(
    left: Tensor,
    right: Tensor,
    batch: RowBatch,
    *,
    negative_weights: Tensor,
    row_weights: Tensor | None = None,
    positive_weight: float = 1.0,
    h: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """The weighted square loss over *all* cells of the batch's rows, at the cost of its positives (ENMF, eq. 3.9).

    With ŷ_uv = hᵀ(p_u ⊙ q_v), it is Σ_{u∈B} Σ_v c_uv (y_uv - ŷ_uv)² less its constant Σ c⁺:

        Σ_{u∈B} Σ_{v∈V_u⁺} [(c⁺ - c⁻_v) ŷ_uv² - 2 c⁺ ŷ_uv] + Σ_ij h_i h_j (Σ_{u∈B} p_ui p_uj)(Σ_v c⁻_v q_vi q_vj)

    ``left`` [B, d] is the batch's rows (p), ``right`` [N, d] every column (q); ``batch.columns`` index into ``right``;
    ``negative_weights`` [N] is c⁻, which ``row_weights`` [B] multiplies where the rows' cells differ in weight (batches
    of items); ``h`` [d] defaults to ones. ``dropout`` is the probability with which an inverted
    dropout would zero each entry of ``left``: the expectation over its masks is taken exactly, which adds
    dropout / (1 - dropout) Σ_u Σ_i (h_i p_ui)² [Σ_v c⁻_v q_vi² + Σ_{v∈V_u⁺} (c⁺ - c⁻_v) q_vi²].

    Returns a scalar, differentiable once, with respect to ``left``, ``right`` and ``h``. Sum, no denominator.
    """
    # ŷ and both sums see p and h only as their product, so the gradient of h is autograd's.
    scaled = left if h is None else left * h
    noise = dropout / (1.0 - dropout)
    rows = torch.ones(len(left), dtype=left.dtype, device=left.device) if row_weights is None else row_weights
    arguments = (scaled, right, batch, rows, negative_weights, positive_weight, noise)
    value: Tensor = _NonSampling.apply(*arguments)  # type: ignore[no-untyped-call]
    return value


def negative_weights(counts: Tensor, weight: float, exponent: float | None = None) -> Tensor:
    """c⁻ of each item from its training counts [N] -> [N] float32.

    Flat ``weight`` without an exponent x; with one, popularity-aware: weight · f^x / Σ f^x, so that ``weight`` is the
    sum over the items. An item that never occurs then weighs nothing.
    """
    if exponent is None:
        return torch.full((len(counts),), weight, dtype=torch.float32)
    powers = counts.double().pow(exponent).masked_fill(counts == 0, 0.0)
    return (weight * powers / powers.sum().clamp_min(1.0)).float()


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """-Σ ln σ(ŷ_ui - ŷ_uj) over scores of aligned pairs [B], [B] (Rendle 2009) -> scalar sum."""
    return functional.softplus(negative - positive).sum()


def log_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """-Σ [y ln σ(ŷ) + (1 - y) ln(1 - σ(ŷ))] over scores and 0/1 labels [B] -> scalar sum."""
    return functional.binary_cross_entropy_with_logits(scores, labels, reduction="sum")


def sampled_softmax(own: Tensor, others: Tensor, stand_for: Tensor, weights: Tensor | None = None) -> Tensor:
    """-Σ ln [e^ŷ / (e^ŷ + s Σ_j e^ŷ_j)]: cross-entropy of a softmax over the right item and a sample of the others.

    ``own`` [R] are the right items' scores ŷ, ``others`` [R, K] the sample's (-inf where there is none), which are
    overwritten. ``stand_for`` [R] is s, how many items each of a row's sample stands for; ``weights`` [R] are the
    rows', ones by default. Returns a scalar sum, differentiable once, with respect to ``own`` and ``others``.
    """
    value: Tensor = _SampledSoftmax.apply(own, others, stand_for, weights)  # type: ignore[no-untyped-call]
    return value


def next_item(
    states: Tensor,
    targets: Tensor,
    items: Tensor,
    negatives: Tensor,
    biases: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """``sampled_softmax`` of scores h·o_v + b_v: states h [R, d] against the items ``targets`` [R] that came next.

    ``items`` [N, d] are o, ``biases`` [N] are b, ``negatives`` [K] int64, distinct, stand for all other items;
    ``weights`` [R] are those of the rows.
    """
    own, others = (states * items[targets]).sum(dim=1), items[negatives].T
    if biases is None:
        others = states @ others
    else:
        own, others = own + biases[targets], torch.addmm(biases[negatives], states, others)  # [R], [R, K]
    # Each stands for as many of the N - 1 other items as it must for all of them to be there.
    places = torch.full((len(items),), -1, device=targets.device)
    places[negatives] = torch.arange(len(negatives), device=targets.device)
    places = places[targets]
    hit = places >= 0
    with torch.no_grad():  # -inf has no gradient of its own accord
        # One cell a row, changed or not, because a GPU would have to be waited for to know which are hit.
        cells = places.clamp_min(0)[:, None]
        others.scatter_(1, cells, others.gather(1, cells).masked_fill(hit[:, None], -math.inf))
    stand_for = (len(items) - 1) / (len(negatives) - hit.to(others.dtype)).clamp_min(1)
    return sampled_softmax(own, others, stand_for, weights)


class _SampledSoftmax(torch.autograd.Function):
    """In as few passes over the [R, K] scores as there can be: they, not arithmetic, are what the loss costs."""

    @staticmethod
    def forward(context: Any, own: Tensor, others: Tensor, stand_for: Tensor, given: Tensor | None = None) -> Tensor:
        greatest = others.amax(dim=1).clamp_min(torch.finfo(others.dtype).min)
        weights = others.sub_(greatest[:, None]).exp_()
        total = weights.sum(dim=1)
        margin = total.log() + greatest + stand_for.log() - own
        wrong, costs = torch.sigmoid(margin), functional.softplus(margin)
        if given is not None:
            wrong, costs = wrong * given, costs * given
        weights.mul_((wrong / total.clamp_min(torch.finfo(total.dtype).tiny))[:, None])
        context.save_for_backward(wrong, weights)
        return costs.sum()

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        wrong, weights = context.saved_tensors
        return -wrong * grad, weights * grad, None, None


class _NonSampling(torch.autograd.Function):
    """``non_sampling`` with h folded into ``left``: the forward pass computes the gradients along with the value."""

    @staticmethod
    def forward(
        context: Any,
        left: Tensor,
        right: Tensor,
        batch: RowBatch,
        row_weights: Tensor,
        weights: Tensor,
        positive: float,
        noise: float,
    ) -> Tensor:
        row_weights, weights = row_weights.to(left.dtype), weights.to(right.dtype)
        weighted_left, weighted = left * row_weights[:, None], right * weights[:, None]
        right_gram, left_gram = right.T @ weighted, left.T @ weighted_left
        if noise:
            right_gram.diagonal().mul_(1.0 + noise)
        value = (right_gram * left_gram).sum()
        if noise:
            left_gram.diagonal().mul_(1.0 + noise)
        left_grad, right_grad = weighted_left @ right_gram, weighted @ left_gram
        add_positives = _add_positives_compiled if form(left) == "compiled" else _add_positives_pulled
        weighing = row_weights, weights, positive, noise
        value = value + add_positives(left, right, batch, *weighing, left_grad, right_grad)
        context.save_for_backward(left_grad, right_grad)
        return value

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        left_grad, right_grad = context.saved_tensors  # halves
        return left_grad * (2.0 * grad), right_grad * (2.0 * grad), *[None] * 5


def _add_positives_pulled(
    left: Tensor,
    right: Tensor,
    batch: RowBatch,
    row_weights: Tensor,
    weights: Tensor,
    positive: float,
    noise: float,
    left_grad: Tensor,
    right_grad: Tensor,
) -> Tensor:
    """The positives' part of ``non_sampling`` on any device: one pass by rows and one by columns, each of which
    computes the scores anew. Nothing is scattered (see ``models.solvers.pull``).

    Adds half the gradients to ``left_grad`` [B, d] and ``right_grad`` [N, d] in place and returns the value, a scalar.
    """
    by_row, (by_column, order) = batch.by_row, batch.by_column(len(right))
    rows = owners_of(by_row.indptr, len(by_row.columns))
    gaps = positive - row_weights.index_select(0, rows) * weights.index_select(0, by_row.columns)
    of_rows = scored(by_row, gaps, left, right, shift=positive, energy=noise > 0, value=True)
    of_columns = scored(by_column, gaps.index_select(0, order), right, left, shift=positive, energy=noise > 0)
    left_grad += of_rows.out
    right_grad += of_columns.out
    assert of_rows.value is not None
    value = of_rows.value.sum()
    if of_rows.energy is not None and of_columns.energy is not None:
        left_grad.addcmul_(left, of_rows.energy, value=noise)
        right_grad.addcmul_(right, of_columns.energy, value=noise)
        value = value + noise * (left.square() * of_rows.energy).sum()
    return value


def _add_positives_compiled(
    left: Tensor,
    right: Tensor,
    batch: RowBatch,
    row_weights: Tensor,
    weights: Tensor,
    positive: float,
    noise: float,
    left_grad: Tensor,
    right_grad: Tensor,
) -> Tensor:
    """``_add_positives_pulled`` on the CPU, in one pass over the positives and in a fixed order."""
    # Not at the top: it brings numba, and who only scores needs none.
    from lethe.models.parts.losses_compiled import add_positives

    tensors = left, right, batch.indptr, batch.columns, row_weights, weights
    arrays = [t.detach().contiguous().numpy() for t in tensors]
    scalars = [arrays[0].dtype.type(x) for x in (positive, noise)]
    value = add_positives(*arrays, *scalars, left_grad.numpy(), right_grad.numpy())
    return torch.tensor(value, dtype=left.dtype)
