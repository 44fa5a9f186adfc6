from __future__ import annotations

import math

import pytest
import torch
from batches import IGNORE, batch, labelled_shares, tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from superpoint.errors import InputError
from superpoint.losses import PartialCrossEntropy, PartialFocal, partial_cross_entropy, partial_focal


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_classes=st.integers(1, 6))
def test_partial_cross_entropy_is_pytorchs_with_ignored_pixels(seed: int, n_classes: int) -> None:
    outputs, labels, weights = batch(seed, n_classes=n_classes)
    labels[0, 0, 0] = 0
    outputs, labels, weights = tensors(outputs, labels, weights)
    mean = cross_entropy(outputs, labels, ignore_index=IGNORE)
    torch.testing.assert_close(partial_cross_entropy(outputs, labels), mean)
    summed = cross_entropy(outputs, labels, weight=weights, ignore_index=IGNORE, reduction="sum")
    weighted = partial_cross_entropy(outputs, labels, weights=weights)
    torch.testing.assert_close(weighted, summed / (labels != IGNORE).sum())


def test_the_gradient_of_partial_cross_entropy_is_pytorchs() -> None:
    outputs, labels, _ = tensors(*batch(1))
    ours, theirs = outputs.clone().requires_grad_(), outputs.clone().requires_grad_()
    partial_cross_entropy(ours, labels).backward()
    cross_entropy(theirs, labels, ignore_index=IGNORE).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_classes=st.integers(1, 6), gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_partial_focal_is_the_formula_to_1e_6(seed: int, n_classes: int, gamma: float) -> None:
    outputs, labels, weights = batch(seed, n_classes=n_classes)
    labels[0, 0, 0] = 0
    pixels = labelled_shares(outputs, labels)
    terms = [-float(weights[y]) * (1 - s[y]) ** gamma * math.log(s[y]) for s, y in pixels]
    loss = partial_focal(*tensors(outputs, labels), gamma=gamma, weights=torch.from_numpy(weights))
    assert float(loss) == pytest.approx(sum(terms) / len(pixels), rel=1e-5, abs=1e-6)


def test_with_gamma_0_partial_focal_is_partial_cross_entropy_to_the_last_bit() -> None:
    outputs, labels, weights = tensors(*batch(2))
    focal, entropy = outputs.clone().requires_grad_(), outputs.clone().requires_grad_()
    losses = PartialFocal(0.0, weights.tolist())(focal, labels), PartialCrossEntropy(weights.tolist())(entropy, labels)
    for loss in losses:
        loss.backward()
    assert torch.equal(*losses)
    assert torch.equal(focal.grad, entropy.grad)


def test_the_larger_gamma_the_less_counts_a_pixel_that_is_right() -> None:
    sure = torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1)
    label = torch.zeros(1, 1, 1, dtype=torch.int64)
    losses = [float(partial_focal(sure, label, gamma=gamma)) for gamma in (0.0, 0.5, 1.0, 2.0)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_a_pixel_that_is_wholly_right_has_loss_0_and_a_gradient_of_0(gamma: float) -> None:
    outputs = torch.tensor([1e4, -1e4]).reshape(1, 2, 1, 1).requires_grad_()
    loss = partial_focal(outputs, torch.zeros(1, 1, 1, dtype=torch.int64), gamma=gamma)
    loss.backward()
    assert loss.item() == 0
    assert not outputs.grad.any()


def test_large_outputs_do_not_cost_precision() -> None:
    outputs = torch.tensor([10_000.0, 10_000.5]).reshape(1, 2, 1, 1).requires_grad_()
    loss = partial_cross_entropy(outputs, torch.zeros(1, 1, 1, dtype=torch.int64))
    loss.backward()
    assert loss.item() == pytest.approx(math.log1p(math.exp(0.5)), rel=1e-6)
    assert outputs.grad[0, 1].item() == pytest.approx(1 / (1 + math.exp(-0.5)), rel=1e-6)


@pytest.mark.parametrize("gamma", [-1.0, math.nan, math.inf])
def test_a_gamma_that_is_no_number_of_0_or_more_is_refused(gamma: float) -> None:
    with pytest.raises(InputError, match="gamma of the focal loss is a number of 0 or more"):
        PartialFocal(gamma)


def test_another_number_of_weights_than_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="2 classes need as many class weights"):
        partial_cross_entropy(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4), weights=torch.ones(3))
