"""Training affinities: that it learns, the same each time, and which epoch is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pictures import Picture, two_colours

from superpoint.errors import InputError, SuperpointError
from superpoint.tiles import Window
from superpoint.training.affinity import AffinityRecipe, fit_affinity
from superpoint.training.pairs import neighbour_targets

pytestmark = pytest.mark.usefixtures("one_thread")


def recipe(**changes: object) -> AffinityRecipe:
    values = {"width": 1 / 16, "epochs": 2, "patches_per_epoch": 4, "patch_size": 32, "batch_size": 2}
    return AffinityRecipe(**values | changes)


def test_it_learns_the_boundaries_of_a_picture_of_two_colours_in_seconds() -> None:
    source = two_colours()
    learned = fit_affinity([source], recipe(epochs=40, patches_per_epoch=16, batch_size=4, learning_rate=1e-2))
    assert learned.history[-1]["train_loss"] < 0.6 * learned.history[0]["train_loss"]
    image, labels = source.image(Window(row=0, col=0, n_rows=96, n_cols=96)), torch.from_numpy(source.classes)[None]
    targets, counted = neighbour_targets(labels)
    with torch.inference_mode():
        affinities = learned.network(torch.from_numpy(image)[None])
    within, across = affinities[counted & (targets == 1)], affinities[counted & (targets == 0)]
    assert (across < within.quantile(0.05)).float().mean() > 0.8


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    one, again, other = (fit_affinity([two_colours()], recipe(seed=seed)).network.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(weight, again[name]) for name, weight in one.items())
    assert not torch.equal(one["fuse.weight"], other["fuse.weight"])


def test_the_epoch_with_the_lowest_validation_loss_is_kept() -> None:
    empty = Picture(two_colours().pixels, 1 - two_colours().classes)
    result = fit_affinity([two_colours()], recipe(epochs=4), validation=[empty])
    losses = [row["val_loss"] for row in result.history]
    assert result.epoch == 1 + int(np.argmin(losses))
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]


def test_without_validation_the_last_epoch_is_kept() -> None:
    result = fit_affinity([two_colours()], recipe(epochs=3))
    assert result.epoch == 3
    assert "val_loss" not in result.history[0]


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    broken = Picture(np.full((3, 40, 40), np.nan), np.ones((40, 40), np.uint8))
    with pytest.raises(SuperpointError, match="the loss is no number after epoch 1; lower the learning rate"):
        fit_affinity([broken], recipe())


@pytest.mark.parametrize(
    ("setting", "value"),
    [("patch_size", 40), ("patch_size", 0), ("epochs", 0), ("shrink", 0.5), ("boundary_weight", float("nan"))],
)
def test_a_setting_that_is_not_allowed_is_named(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=setting):
        recipe(**{setting: value})
