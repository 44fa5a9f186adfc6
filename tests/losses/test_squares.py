from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from batches import IGNORE, batch, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.losses import WeightedMaskedMSE, weighted_masked_mse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.losses import Weighting


def reference(
    outputs: NDArray[Any],
    labels: NDArray[Any],
    frequencies: NDArray[Any],
    *,
    by_labelled: bool = False,
    own_class: bool = False,
) -> float:
    """The formulas, one pixel and one class at a time, in float64."""
    n_batch, n_classes, n_rows, n_cols = outputs.shape
    total, n_labelled = 0.0, 0
    for b, row, col in np.ndindex(n_batch, n_rows, n_cols):
        label = labels[b, row, col]
        n_labelled += label != IGNORE
        for c in range(n_classes):
            frequency = float(frequencies[(label if own_class else c) if label != IGNORE else 0])
            if label != IGNORE and frequency > 0:
                total += (float(outputs[b, c, row, col]) - (label == c)) ** 2 / frequency
    return total / (n_labelled * n_classes if by_labelled else outputs.size)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    n_classes=st.integers(1, 6),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
    weighting=st.sampled_from(["per-channel", "own-class"]),
)
def test_the_loss_is_the_formula_to_1e_6(
    seed: int, shape: tuple[int, int, int], n_classes: int, scale: float, weighting: Weighting
) -> None:
    outputs, labels, frequencies = batch(seed, shape=shape, n_classes=n_classes, scale=scale)
    labels[0, 0, 0] = 0
    own_class = weighting == "own-class"
    for normalize in ("all", "labelled"):
        loss = weighted_masked_mse(*tensors(outputs, labels, frequencies), normalize=normalize, weighting=weighting)
        expected = reference(outputs, labels, frequencies, by_labelled=normalize == "labelled", own_class=own_class)
        assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_per_channel_a_rare_class_weighs_at_every_pixel_and_by_own_class_at_its_own_only() -> None:
    # One pixel of class 0, whose output for the rare class 1 is wrong.
    outputs, labels = torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64)
    frequencies = torch.tensor([0.8, 0.2])
    assert float(weighted_masked_mse(outputs, labels, frequencies)) == pytest.approx(1 / 0.2 / 2)
    assert float(weighted_masked_mse(outputs, labels, frequencies, weighting="own-class")) == pytest.approx(1 / 0.8 / 2)


def test_both_weightings_agree_where_all_classes_are_equally_frequent() -> None:
    outputs, labels, _ = tensors(*batch(8))
    frequencies = torch.full((4,), 0.25)
    per_channel, own_class = (
        weighted_masked_mse(outputs, labels, frequencies, weighting=weighting)
        for weighting in ("per-channel", "own-class")
    )
    torch.testing.assert_close(per_channel, own_class)


def test_by_own_class_the_pixels_of_a_class_without_frequency_are_left_out() -> None:
    outputs, labels, _ = batch(3)
    frequencies = np.array([0.5, 0.0, 0.3, 0.2], np.float32)
    (traced,) = tensors(outputs)
    traced.requires_grad_()
    loss = weighted_masked_mse(traced, *tensors(labels, frequencies), weighting="own-class")
    loss.backward()
    assert loss.item() == pytest.approx(reference(outputs, labels, frequencies, own_class=True), rel=1e-6)
    assert not traced.grad.numpy()[np.broadcast_to((labels == 1)[:, None], outputs.shape)].any()


def test_the_loss_is_the_formula_to_1e_6_on_a_full_batch() -> None:
    outputs, labels, frequencies = batch(0, shape=(8, 256, 256), n_classes=6)
    labelled = labels != IGNORE
    squares = (outputs.astype(np.float64) - (labels[:, None] == np.arange(6)[:, None, None])) ** 2
    expected = (squares / frequencies.astype(np.float64)[:, None, None] * labelled[:, None]).mean()
    assert float(weighted_masked_mse(*tensors(outputs, labels, frequencies))) == pytest.approx(expected, rel=1e-6)


def test_the_loss_is_the_formula_to_1e_6_where_the_outputs_are_almost_right() -> None:
    _, labels, frequencies = batch(1)
    truth = labels[:, None] == np.arange(4)[:, None, None]
    outputs = (truth + np.random.default_rng(1).normal(size=truth.shape) * 1e-4).astype(np.float32)
    loss = weighted_masked_mse(*tensors(outputs, labels, frequencies))
    assert float(loss) == pytest.approx(reference(outputs, labels, frequencies), rel=1e-6)


def test_the_gradient_is_that_of_the_formula_and_zero_on_unlabelled_pixels() -> None:
    outputs, labels, frequencies = batch(2)
    (traced,) = tensors(outputs)
    traced.requires_grad_()
    weighted_masked_mse(traced, *tensors(labels, frequencies)).backward()
    residuals = outputs.astype(np.float64) - (labels[:, None] == np.arange(4)[:, None, None])
    labelled = (labels != IGNORE)[:, None]
    expected = 2 * residuals * labelled / frequencies[:, None, None] / outputs.size
    np.testing.assert_allclose(traced.grad.numpy(), expected, rtol=1e-5, atol=1e-12)
    assert not traced.grad.numpy()[np.broadcast_to(~labelled, outputs.shape)].any()


def test_the_channel_of_a_class_without_pixels_is_left_out() -> None:
    outputs, labels, _ = batch(3)
    frequencies = np.array([0.5, 0.0, 0.3, 0.2], np.float32)
    (traced,) = tensors(outputs)
    traced.requires_grad_()
    loss = weighted_masked_mse(traced, *tensors(labels, frequencies))
    loss.backward()
    assert loss.item() == pytest.approx(reference(outputs, labels, frequencies), rel=1e-6)
    assert traced.grad.isfinite().all()
    assert not traced.grad[:, 1].any()


def test_normalized_by_labelled_pixels_the_loss_does_not_scale_with_coverage() -> None:
    outputs, labels, frequencies = batch(4, labelled=1.0)
    sparse = np.full((2, 5, 60), IGNORE)
    sparse[:, :, :6] = labels
    wide = np.zeros((2, 4, 5, 60), np.float32)
    wide[:, :, :, :6] = outputs
    dense_loss, sparse_loss = (
        float(weighted_masked_mse(*tensors(o, t, frequencies), normalize="labelled"))
        for o, t in ((outputs, labels), (wide, sparse))
    )
    assert sparse_loss == pytest.approx(dense_loss, rel=1e-6)


def test_the_module_is_the_function_and_moves_with_its_network_without_entering_the_state() -> None:
    outputs, labels, frequencies = tensors(*batch(5))
    module = WeightedMaskedMSE(frequencies.tolist(), normalize="labelled")
    expected = weighted_masked_mse(outputs, labels, frequencies, normalize="labelled")
    torch.testing.assert_close(module(outputs, labels), expected)
    assert [name for name, _ in module.named_buffers()] == ["frequencies"]
    assert module.state_dict() == {}


@pytest.mark.parametrize("frequencies", [[], [0.0, 0.0], [0.5, -0.5], [float("nan"), 1.0]])
def test_frequencies_that_are_no_shares_are_refused(frequencies: list[float]) -> None:
    with pytest.raises(InputError, match="class frequencies are shares"):
        WeightedMaskedMSE(frequencies)


def test_an_unknown_normalization_or_weighting_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown normalize 'none'; known: all, labelled"):
        WeightedMaskedMSE([1.0], normalize="none")
    with pytest.raises(InputError, match=r"unknown weighting 'pixel'; known: per-channel, own-class"):
        WeightedMaskedMSE([1.0], weighting="pixel")


def test_another_number_of_frequencies_than_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="2 classes need as many frequencies"):
        weighted_masked_mse(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4), torch.ones(3))
