from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from superpoint.errors import InputError
from superpoint.losses import (
    LOSSES,
    PartialCrossEntropy,
    WeightedMaskedMSE,
    build_loss,
    partial_cross_entropy,
    weighted_masked_mse,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from superpoint.losses import Normalize

IGNORE = 255


def reference(
    outputs: NDArray[Any], labels: NDArray[Any], frequencies: NDArray[Any], *, by_labelled: bool = False
) -> float:
    """The formula of the paper, one pixel and one class at a time, in float64."""
    n_batch, n_classes, n_rows, n_cols = outputs.shape
    total, n_labelled = 0.0, 0
    for b, row, col in np.ndindex(n_batch, n_rows, n_cols):
        label = labels[b, row, col]
        n_labelled += label != IGNORE
        for c in range(n_classes):
            if label != IGNORE and frequencies[c] > 0:
                total += (float(outputs[b, c, row, col]) - (label == c)) ** 2 / float(frequencies[c])
    return total / (n_labelled * n_classes if by_labelled else outputs.size)


def batch(
    seed: int,
    *,
    shape: tuple[int, int, int] = (2, 5, 6),
    n_classes: int = 4,
    labelled: float = 0.5,
    scale: float = 3.0,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    outputs = (rng.normal(size=(shape[0], n_classes, *shape[1:])) * scale).astype(np.float32)
    labels = rng.integers(0, n_classes, shape)
    labels[rng.random(shape) >= labelled] = IGNORE
    frequencies = rng.dirichlet(np.ones(n_classes)).astype(np.float32)
    return outputs, labels, frequencies


def tensors(*arrays: NDArray[Any]) -> list[Tensor]:
    return [torch.from_numpy(array) for array in arrays]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    n_classes=st.integers(1, 6),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
)
def test_the_loss_is_the_formula_to_1e_6(seed: int, shape: tuple[int, int, int], n_classes: int, scale: float) -> None:
    outputs, labels, frequencies = batch(seed, shape=shape, n_classes=n_classes, scale=scale)
    labels[0, 0, 0] = 0
    for normalize in ("all", "labelled"):
        loss = weighted_masked_mse(*tensors(outputs, labels, frequencies), normalize=normalize)
        expected = reference(outputs, labels, frequencies, by_labelled=normalize == "labelled")
        assert float(loss) == pytest.approx(expected, rel=1e-6)


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


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("normalize", ["all", "labelled"])
def test_a_batch_without_labels_has_loss_0_and_zero_gradient_even_for_outputs_that_are_no_numbers(
    name: str, normalize: Normalize
) -> None:
    outputs = torch.tensor([1.0, torch.inf, -torch.inf, torch.nan]).reshape(1, 2, 1, 2).requires_grad_()
    loss = build_loss(name, frequencies=[0.5, 0.5], normalize=normalize)(outputs, torch.full((1, 1, 2), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert not outputs.grad.any()


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


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_classes=st.integers(1, 6))
def test_partial_cross_entropy_is_pytorchs_with_ignored_pixels(seed: int, n_classes: int) -> None:
    outputs, labels, weights = batch(seed, n_classes=n_classes)
    labels[0, 0, 0] = 0
    outputs, labels, weights = tensors(outputs, labels, weights)
    torch.testing.assert_close(
        partial_cross_entropy(outputs, labels), cross_entropy(outputs, labels, ignore_index=IGNORE)
    )
    summed = cross_entropy(outputs, labels, weight=weights, ignore_index=IGNORE, reduction="sum")
    torch.testing.assert_close(
        partial_cross_entropy(outputs, labels, weights=weights), summed / (labels != IGNORE).sum()
    )


def test_partial_cross_entropy_has_zero_gradient_on_unlabelled_pixels() -> None:
    outputs, labels, _ = tensors(*batch(6))
    outputs.requires_grad_()
    PartialCrossEntropy()(outputs, labels).backward()
    unlabelled = (labels == IGNORE).unsqueeze(1).expand_as(outputs)
    assert not outputs.grad[unlabelled].any()
    assert outputs.grad[~unlabelled].all()


def test_uint8_labels_are_taken_as_they_come_from_a_raster() -> None:
    outputs, labels, frequencies = tensors(*batch(7))
    expected = weighted_masked_mse(outputs, labels, frequencies)
    assert weighted_masked_mse(outputs, labels.to(torch.uint8), frequencies) == expected


def test_an_unknown_loss_or_normalization_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'mse'; known: partial-cross-entropy, weighted-masked-mse"):
        build_loss("mse", frequencies=[1.0])
    with pytest.raises(InputError, match=r"'none'; known: all, labelled"):
        build_loss("partial-cross-entropy", frequencies=[1.0], normalize="none")


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 4, 5\) and \(1, 2, 4, 4\)"):
        partial_cross_entropy(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 5))
    with pytest.raises(ValueError, match="2 classes need as many frequencies"):
        weighted_masked_mse(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4), torch.ones(3))
