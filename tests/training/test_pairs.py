"""What affinities are learned from: pairs and what they weigh, and patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pictures import Picture

from superpoint.classes import IGNORE
from superpoint.superpixels.dal import NEIGHBOURS
from superpoint.training.pairs import affinity_loss, brightened, neighbour_targets, random_patch


def random_labels(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).choice([0, 1, 2, IGNORE], shape))


def test_targets_are_those_of_a_walk_over_all_pairs() -> None:
    labels = random_labels((2, 6, 7))
    targets, counted = neighbour_targets(labels)
    for batch, channel, row, col in np.ndindex(*targets.shape):
        down, right = NEIGHBOURS[channel]
        inside = 0 <= row + down < 6 and 0 <= col + right < 7
        pair = {labels[batch, row, col].item(), labels[batch, row + down, col + right].item() if inside else IGNORE}
        assert counted[batch, channel, row, col] == (IGNORE not in pair)
        assert targets[batch, channel, row, col] == (len(pair) == 1 and IGNORE not in pair)


@pytest.mark.parametrize(
    ("move", "channels"),
    [
        # Turned left, what was east is north: the channel N of the turned patch is the turned channel E.
        (lambda patch: patch.rot90(1, (-2, -1)), [2, 3, 4, 5, 6, 7, 0, 1]),
        (lambda patch: patch.flip(-1), [4, 3, 2, 1, 0, 7, 6, 5]),
        (lambda patch: patch.rot90(2, (-2, -1)), [4, 5, 6, 7, 0, 1, 2, 3]),
    ],
    ids=["turned left", "mirrored", "upside down"],
)
def test_moving_a_patch_permutes_its_channels(move: object, channels: list[int]) -> None:
    labels = random_labels((1, 5, 5))
    for before, after in zip(neighbour_targets(labels), neighbour_targets(move(labels)), strict=True):
        assert torch.equal(after, move(before)[:, channels])


def test_the_loss_is_the_weighted_mean_over_pairs() -> None:
    labels = torch.tensor([[[0, 0, 1]]])
    logits = torch.zeros(1, 8, 1, 3)
    logits[0, 0, 0] = torch.tensor([2.0, 2.0, 9.0])  # east: equal, different, outside
    logits[0, 4, 0] = torch.tensor([9.0, 2.0, 2.0])  # west: outside, equal, different
    equal, different = np.log1p(np.exp(-2)), np.log1p(np.exp(2))
    loss = affinity_loss(logits, labels, boundary_weight=5)
    assert loss.item() == pytest.approx((2 * equal + 2 * 5 * different) / (2 + 2 * 5))


def test_a_patch_without_labels_has_no_loss_and_no_gradient() -> None:
    logits = torch.randn(1, 8, 4, 4, requires_grad=True)
    loss = affinity_loss(logits, torch.full((1, 4, 4), IGNORE), boundary_weight=10)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_image_and_labels_of_a_shrunk_patch_stay_together() -> None:
    classes = (np.indices((300, 200)).sum(axis=0) // 60 % 2).astype(np.uint8)
    source = Picture(np.stack([classes] * 3), classes)
    for seed in range(5):
        image, labels = random_patch(source, patch_size=64, shrink=3, drawn=np.random.default_rng(seed))
        assert (image.shape, labels.shape) == ((3, 64, 64), (64, 64))
        plain = image[0] % 1 == 0  # pixels that are no mean of both classes
        assert plain.float().mean() > 0.8
        assert torch.equal(image[0][plain].long(), labels[plain])


def test_the_factors_of_shrinking_fill_their_range() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 400), (3, 400, 400))
    source = Picture(ramp, np.zeros((400, 400), np.uint8))
    drawn = np.random.default_rng(0)
    images = [random_patch(source, patch_size=32, shrink=4, drawn=drawn)[0] for _ in range(60)]
    factors = [float(image[0, 0, 31] - image[0, 0, 0]) * 399 / 31 for image in images]
    assert 0.99 < min(factors) < 1.2
    assert 3.5 < max(factors) < 4.1
    assert np.median(factors) == pytest.approx(2, abs=0.4)  # half of them below the square root


def test_a_raster_smaller_than_a_patch_is_mirrored_and_unlabelled_there() -> None:
    source = Picture(np.random.default_rng(0).random((3, 20, 40)), np.ones((20, 40), np.uint8))
    image, labels = random_patch(source, patch_size=32, shrink=3, drawn=np.random.default_rng(0))
    assert image.shape == (3, 32, 32)
    assert (labels[:20] == 1).all()
    assert (labels[20:] == IGNORE).all()
    torch.testing.assert_close(image[:, 20], image[:, 18])


def test_bands_are_brightened_apart_and_patches_too() -> None:
    images = torch.full((2, 3, 4, 4), 0.5)
    bright = brightened(images, torch.Generator().manual_seed(0))
    assert len(bright[:, :, 0, 0].unique()) == 6
    assert torch.equal(bright, bright[:, :, :1, :1].expand(2, 3, 4, 4))
    assert 0.5 / 1.4 - 0.2 <= bright.min() <= bright.max() <= 0.5 * 1.4 + 0.2
