from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from superpoint.inference import VIEWS, View, class_probabilities, predict_window
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("one_thread")

# float32 sums of at most four shares of one value
TOLERANCE = 1e-5


def image_of(shape: tuple[int, int], *, bands: int = 2, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(bands, *shape)).astype(np.float32)


def reader(image: NDArray[np.float32]) -> Callable[[Window], NDArray[np.float32]]:
    return lambda window: image[:, *window.slices]


def whole(shape: tuple[int, int]) -> Window:
    return Window(row=0, col=0, n_rows=shape[0], n_cols=shape[1])


class PatchIndex(nn.Module):
    """Gives every pixel of a patch the mean of that patch, so that seams would show."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)


def small_network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(2, 4, 5, padding=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 5, padding=2)]
        return nn.Sequential(*layers)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    overlap=st.integers(0, 31),
    corner=st.tuples(st.integers(0, 149), st.integers(0, 149)),
)
def test_a_model_that_returns_its_input_gives_back_the_input(
    shape: tuple[int, int], overlap: int, corner: tuple[int, int]
) -> None:
    image = image_of(shape)
    row, col = corner[0] % shape[0], corner[1] % shape[1]
    window = Window(row=row, col=col, n_rows=shape[0] - row, n_cols=shape[1] - col)
    outputs = predict_window(
        nn.Identity(), reader(image), window, shape=shape, patch_size=32, overlap=overlap, batch_size=5
    )
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, image[:, *window.slices], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("model", [small_network(), PatchIndex()], ids=["network", "patch means"])
@pytest.mark.parametrize("tile", [17, 40, 64])
@pytest.mark.parametrize("shape", [(100, 130), (20, 75)])
def test_a_pixel_does_not_depend_on_the_window_it_is_asked_for_in(
    model: nn.Module, tile: int, shape: tuple[int, int]
) -> None:
    image = image_of(shape)

    def predict(window: Window) -> NDArray[np.float32]:
        return predict_window(model, reader(image), window, shape=shape, patch_size=32, overlap=12, batch_size=4)

    expected = predict(whole(shape))
    for part in TileGrid(shape=shape, size=tile):
        outputs = predict(part.core)
        np.testing.assert_allclose(outputs, expected[:, *part.core.slices], rtol=TOLERANCE, atol=TOLERANCE)


def test_the_result_is_the_weighted_mean_of_all_patches_of_the_raster() -> None:
    shape, size, step = (70, 90), 32, 20
    image, model = image_of(shape), small_network().eval()
    profile = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    sums, totals = np.zeros((3, *shape)), np.zeros(shape)
    for row in [0, 20, 38]:
        for col in [0, 20, 40, 58]:
            place = slice(row, row + size), slice(col, col + size)
            with torch.inference_mode():
                patch = model(torch.from_numpy(image[:, *place])[None])[0].numpy()
            sums[:, *place] += patch * np.outer(profile, profile)
            totals[place] += np.outer(profile, profile)
    outputs = predict_window(model, reader(image), whole(shape), shape=shape, patch_size=size, overlap=size - step)
    np.testing.assert_allclose(outputs, sums / totals, rtol=TOLERANCE, atol=TOLERANCE)


def test_overlapping_patches_fade_into_each_other() -> None:
    shape = (32, 320)
    image = np.zeros((1, *shape), np.float32)
    image[:, :, 160:] = 1
    outputs = predict_window(PatchIndex(), reader(image), whole(shape), shape=shape, patch_size=64, overlap=32)
    # The patch means are 0, 1/2 and 1 across three 32-pixel overlaps: no jump is near the 1/2 of a hard cut.
    assert np.abs(np.diff(outputs[0], axis=1)).max() < 0.06


def test_only_the_neighbourhood_of_the_window_is_read_and_only_once() -> None:
    image, read = image_of((400, 400)), []

    def read_image(window: Window) -> NDArray[np.float32]:
        read.append(window)
        return image[:, *window.slices]

    window = Window(row=170, col=200, n_rows=50, n_cols=60)
    predict_window(nn.Identity(), read_image, window, shape=(400, 400), patch_size=32, overlap=16)
    assert len(read) == 1
    assert read[0].row > 170 - 32
    assert read[0].row + read[0].n_rows < 220 + 32


def test_the_model_is_run_in_evaluation_mode_and_left_as_it_was() -> None:
    image, model = image_of((64, 64)), small_network().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    arguments = {"shape": (64, 64), "patch_size": 32, "overlap": 0}
    first = predict_window(model, reader(image), whole((64, 64)), **arguments)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    np.testing.assert_array_equal(first, predict_window(model.eval(), reader(image), whole((64, 64)), **arguments))


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"patch_size": 48}, "patch_size must be a multiple of 32, got 48"),
        ({"patch_size": 0}, "patch_size must be a multiple of 32, got 0"),
        ({"overlap": 64}, "overlap must be 0 or more and less than patch_size 64, got 64"),
        ({"overlap": -1}, "got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"shape": (64, 99)}, "leaves a raster of 64 x 99"),
    ],
)
def test_sizes_that_are_not_allowed_are_named(settings_: dict[str, object], message: str) -> None:
    arguments = {"shape": (64, 100), "patch_size": 64, "overlap": 0} | settings_
    with pytest.raises(ValueError, match=message):
        predict_window(nn.Identity(), reader(image_of((64, 100))), whole((64, 100)), **arguments)


def test_an_image_of_another_shape_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match=r"read_image returned shape \(2, 64, 63\) for 64 x 64"):
        predict_window(
            nn.Identity(),
            lambda _: image_of((64, 63)),
            whole((64, 64)),
            shape=(64, 64),
            patch_size=64,
            overlap=0,
        )


def test_a_model_that_does_not_keep_rows_and_cols_is_refused() -> None:
    image = image_of((64, 64))
    with pytest.raises(ValueError, match=r"keeps rows and cols, got \(1, 2, 32, 32\)"):
        predict_window(nn.MaxPool2d(2), reader(image), whole((64, 64)), shape=(64, 64), patch_size=64, overlap=0)


class Mirrored(nn.Module):
    """Looks at what stands to the right and below only."""

    def forward(self, images: Tensor) -> Tensor:
        return images + 2 * images.roll(-1, dims=-1) + 3 * images.roll(-1, dims=-2)


@pytest.mark.parametrize(("name", "n_views"), [("mirrors", 4), ("all", 8)])
def test_views_are_averaged_as_by_turning_patches_by_hand(name: str, n_views: int) -> None:
    image, model = image_of((32, 32)), Mirrored()
    turns = [
        (quarters, flips) for quarters in range(4) for flips in (False, True) if name == "all" or quarters % 2 == 0
    ]
    assert len(turns) == n_views
    expected = np.zeros_like(image)
    for quarters, flips in turns:
        seen = np.rot90(image[:, :, ::-1] if flips else image, quarters, axes=(1, 2))
        found = model(torch.from_numpy(seen.copy())[None])[0].numpy()
        back = np.rot90(found, -quarters, axes=(1, 2))
        expected += (back[:, :, ::-1] if flips else back) / n_views
    arguments = {"shape": (32, 32), "patch_size": 32, "overlap": 0}
    outputs = predict_window(model, reader(image), whole((32, 32)), **arguments, views=VIEWS[name])
    np.testing.assert_allclose(outputs, expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["mirrors", "all"])
def test_a_model_without_a_sense_of_direction_gains_nothing_from_views(name: str) -> None:
    image, model = image_of((70, 45)), nn.Conv2d(2, 3, 1)
    arguments = {"shape": (70, 45), "patch_size": 32, "overlap": 8}
    plain = predict_window(model, reader(image), whole((70, 45)), **arguments)
    viewed = predict_window(model, reader(image), whole((70, 45)), **arguments, views=VIEWS[name])
    np.testing.assert_allclose(viewed, plain, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("view", VIEWS["all"], ids=str)
def test_every_view_is_undone_exactly(view: View) -> None:
    patch = torch.arange(25).reshape(1, 5, 5)
    assert torch.equal(view.undo(view.see(patch)), patch)


def test_the_eight_views_are_different_and_the_first_changes_nothing() -> None:
    patch = torch.arange(9).reshape(3, 3)
    assert len({tuple(view.see(patch).flatten().tolist()) for view in VIEWS["all"]}) == 8
    assert torch.equal(VIEWS["none"][0].see(patch), patch)


def test_without_a_view_nothing_is_predicted() -> None:
    with pytest.raises(ValueError, match="views must name at least one view"):
        predict_window(
            nn.Identity(), reader(image_of((32, 32))), whole((32, 32)), shape=(32, 32), patch_size=32, overlap=0,
            views=(),
        )  # fmt: skip


def test_the_mean_is_taken_of_what_the_outputs_are_made_into() -> None:
    shape, image, model = (32, 60), image_of((32, 60)), small_network()
    softened = predict_window(
        model, reader(image), whole(shape), shape=shape, patch_size=32, overlap=8, views=VIEWS["mirrors"],
        activate=partial(class_probabilities, are_logits=True),
    )  # fmt: skip
    np.testing.assert_allclose(softened.sum(axis=0), 1, rtol=TOLERANCE)


def test_probabilities_of_a_squared_error_are_its_positive_outputs() -> None:
    outputs = torch.tensor([[0.6, -1.0], [0.2, -2.0], [-0.1, 0.0]]).reshape(1, 3, 1, 2)
    found = class_probabilities(outputs, are_logits=False)[0, :, 0]
    np.testing.assert_allclose(found.T, [[0.75, 0.25, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=TOLERANCE)
