from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from batches import IGNORE, batch, labelled_shares, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.losses import Dice, dice_loss, lovasz_softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray


def dice_reference(outputs: NDArray[Any], labels: NDArray[Any], smoothing: float) -> float:
    """The formula, one pixel and one class at a time, in float64."""
    pixels, losses = labelled_shares(outputs, labels), []
    for c in sorted({y for _, y in pixels}):
        above, below = smoothing, smoothing
        for shares, y in pixels:
            above += 2 * shares[c] * (y == c)
            below += shares[c] ** 2 + (y == c)
        losses.append(1 - above / below)
    return float(np.mean(losses))


def jaccard_loss(wrong: set[int], members: set[int]) -> float:
    """Equation 7 of the paper: wrong pixels over those and the members of the class."""
    return len(wrong) / len(members | wrong)


def lovasz_reference(outputs: NDArray[Any], labels: NDArray[Any]) -> float:
    """The Lovász extension by its definition: the loss of each set of the worst pixels, from the empty set on."""
    pixels, losses = labelled_shares(outputs, labels), []
    for c in sorted({y for _, y in pixels}):
        errors = [abs((y == c) - shares[c]) for shares, y in pixels]
        members = {i for i, (_, y) in enumerate(pixels) if y == c}
        order = sorted(range(len(errors)), key=lambda i, errors=errors: -errors[i])
        steps = [
            jaccard_loss(set(order[: k + 1]), members) - jaccard_loss(set(order[:k]), members)
            for k in range(len(order))
        ]
        losses.append(sum(errors[i] * step for i, step in zip(order, steps, strict=True)))
    return float(np.mean(losses))


shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
smoothings = st.sampled_from([0.0, 0.3, 1.0])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=shapes,
    n_classes=st.integers(1, 5),
    smoothing=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_dice_is_the_formula_to_1e_6(seed: int, shape: tuple[int, int, int], n_classes: int, smoothing: float) -> None:
    outputs, labels, _ = batch(seed, shape=shape, n_classes=n_classes)
    labels[0, 0, 0] = 0
    loss = dice_loss(*tensors(outputs, labels), smoothing=smoothing)
    assert float(loss) == pytest.approx(dice_reference(outputs, labels, smoothing), rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=shapes, n_classes=st.integers(1, 5))
def test_lovasz_is_the_extension_of_the_jaccard_loss_to_1e_6(
    seed: int, shape: tuple[int, int, int], n_classes: int
) -> None:
    outputs, labels, _ = batch(seed, shape=shape, n_classes=n_classes)
    labels[0, 0, 0] = 0
    loss = lovasz_softmax(*tensors(outputs, labels))
    assert float(loss) == pytest.approx(lovasz_reference(outputs, labels), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("loss", [dice_loss, lovasz_softmax])
def test_a_wholly_right_batch_has_loss_0_and_a_wholly_wrong_one_loss_1(loss: Any) -> None:  # noqa: ANN401  # a function
    labels = torch.tensor([[[0, 1], [1, IGNORE]]])
    right = torch.stack([labels == 0, labels == 1], dim=1) * 1e4
    assert float(loss(right, labels)) == 0
    assert float(loss(-right, labels)) == 1


@pytest.mark.parametrize("loss", [dice_loss, lovasz_softmax])
def test_a_class_without_a_labelled_pixel_does_not_dilute_the_mean(loss: Any) -> None:  # noqa: ANN401  # a function
    outputs, labels, _ = tensors(*batch(4, n_classes=3))
    with_absent = torch.cat([outputs, torch.full_like(outputs[:, :1], -1e4)], dim=1)
    torch.testing.assert_close(loss(with_absent, labels), loss(outputs, labels))


def test_lovasz_of_sure_outputs_is_1_minus_the_mean_iou() -> None:
    predicted, labels = np.array([[[0, 0, 1, 1, 1, 0]]]), np.array([[[0, 1, 1, 1, 0, IGNORE]]])
    outputs = (predicted[:, None] == np.arange(2)[:, None, None]) * np.float32(1e4)
    # Class 0: 1 of 3, class 1: 2 of 4.
    assert float(lovasz_softmax(*tensors(outputs, labels))) == pytest.approx(1 - (1 / 3 + 2 / 4) / 2)


def test_lovasz_keeps_its_precision_on_a_full_batch() -> None:
    outputs, labels, _ = tensors(*batch(5, shape=(2, 128, 128), labelled=0.9))
    wide = lovasz_softmax(outputs.double(), labels)
    assert float(lovasz_softmax(outputs, labels)) == pytest.approx(float(wide), rel=1e-6)


@pytest.mark.parametrize("smoothing", [-1.0, float("nan"), float("inf")])
def test_a_smoothing_that_is_no_number_of_0_or_more_is_refused(smoothing: float) -> None:
    with pytest.raises(InputError, match="smoothing of the Dice loss is a number of 0 or more"):
        Dice(smoothing)
