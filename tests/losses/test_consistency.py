from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from batches import batch, label_maps, softmax, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from superpoint.losses import SuperpixelConsistency, superpixel_consistency

if TYPE_CHECKING:
    from numpy.typing import NDArray


def reference(outputs: NDArray[Any], superpixels: NDArray[Any]) -> float:
    """The formula, one superpixel at a time, in float64."""
    members: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    for b, row, col in np.ndindex(superpixels.shape):
        if superpixels[b, row, col]:
            members.setdefault((b, int(superpixels[b, row, col])), []).append(softmax(outputs[b, :, row, col]))
    variances = [np.array(shares).var(axis=0).sum() for shares in members.values()]
    return float(np.mean(variances)) if variances else 0.0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    n_classes=st.integers(1, 5),
    dtype=st.sampled_from([np.uint32, np.int64]),
)
def test_it_is_the_mean_variance_within_superpixels_to_1e_6(
    seed: int, shape: tuple[int, int, int], n_classes: int, dtype: type
) -> None:
    outputs, _, _ = batch(seed, shape=shape, n_classes=n_classes)
    superpixels = label_maps(seed, shape=shape)
    loss = superpixel_consistency(*tensors(outputs, superpixels.astype(dtype)))
    assert float(loss) == pytest.approx(reference(outputs, superpixels), rel=1e-6, abs=1e-7)


def test_outputs_that_differ_between_superpixels_only_have_loss_0() -> None:
    superpixels = torch.tensor([[[3, 3, 8], [3, 8, 8]]])
    outputs = torch.stack([superpixels == 3, superpixels == 8], dim=1).float()
    assert float(superpixel_consistency(outputs, superpixels)) == 0


def test_a_small_superpixel_counts_as_much_as_a_large_one() -> None:
    outputs = torch.tensor([[[[1e4, -1e4] + [1e4] * 8], [[-1e4, 1e4] + [-1e4] * 8]]]).reshape(1, 2, 1, 10)
    # Two pixels that disagree wholly: a variance of 1/4 in each of two channels; eight that agree.
    superpixels = torch.tensor([[[1, 1, 2, 2, 2, 2, 2, 2, 2, 2]]])
    assert float(superpixel_consistency(outputs, superpixels)) == pytest.approx(0.5 / 2)


def test_where_all_is_nodata_the_loss_is_0_with_zero_gradient() -> None:
    outputs = torch.tensor([1.0, torch.inf, -torch.inf, torch.nan]).reshape(1, 2, 1, 2).requires_grad_()
    loss = superpixel_consistency(outputs, torch.zeros(1, 1, 2, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert not outputs.grad.any()


def test_without_superpixels_the_module_says_what_it_needs() -> None:
    assert SuperpixelConsistency.needs_superpixels
    with pytest.raises(ValueError, match=r"called with \(outputs, labels, superpixels\)"):
        SuperpixelConsistency()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4))


def test_superpixels_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"superpixels .* do not fit .* \(1, 4, 5\) and \(1, 2, 4, 4\)"):
        superpixel_consistency(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 5))
