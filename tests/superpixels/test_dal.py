"""Learned affinities of images of any size: the same in tiles and blocks as over the whole raster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from superpoint.errors import InputError, MissingExtraError
from superpoint.models.dal import ALIGNMENT, RADIUS, Dal
from superpoint.models.dal_weights import describe_dal, save_dal
from superpoint.superpixels import dal
from superpoint.superpixels.dal import HALO, NEIGHBOURS, dal_affinities, shipped_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOATS = 2e-5  # arithmetic in another order; a wrong pixel would differ by far more


def fields(rows: int, cols: int, seed: int = 0) -> NDArray[np.float32]:
    """Two kinds of ground with a diagonal boundary, and noise."""
    down, right = np.indices((rows, cols))
    ground = np.where(down * cols > right * rows, 0.3, 0.7)
    noise = np.random.default_rng(seed).normal(0, 0.05, (3, rows, cols))
    return (ground + noise).astype(np.float32)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a small network that nobody trained."""
    torch.manual_seed(0)
    save_dal(Dal(width=1 / 32, norm="batch").eval(), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Weights in the published format, with instance norm."""
    torch.manual_seed(0)
    torch.save({"state_dict": Dal().state_dict()}, tmp_path / "published.pth")
    return tmp_path / "published.pth"


@pytest.mark.parametrize("shape", [(1, 1), (17, 40), (64, 33)])
def test_every_pixel_of_an_image_of_any_size_has_eight_affinities(shape: tuple[int, int]) -> None:
    affinities = dal_affinities(fields(*shape))
    assert (affinities.shape, affinities.dtype) == ((8, *shape), np.float32)
    assert 0 <= affinities.min() <= affinities.max() <= 1


def test_the_network_that_comes_along_tells_a_boundary_from_a_field() -> None:
    image = fields(96, 96)
    across = np.diff(np.indices((96, 96))[0] > np.indices((96, 96))[1], axis=1)  # the truth
    east = dal_affinities(image)[0][:, :-1]
    assert np.median(east[across]) < 0.5 * np.median(east[~across])


def test_the_weights_that_come_along_are_small_and_say_where_they_are_from() -> None:
    assert shipped_weights().stat().st_size <= 4_000_000
    about = describe_dal(shipped_weights())
    assert (about["norm"], about["bands"]) == ("batch", 3)
    assert about["provenance"]["classes"] == ["Building", "Land", "Road", "Vegetation", "Water"]
    assert shipped_weights().with_suffix(".md").is_file()


def test_a_tile_with_halo_at_a_multiple_of_16_has_the_affinities_of_the_raster() -> None:
    image = fields(400, 464)
    whole = dal_affinities(image)
    tile = dal_affinities(image[:, 48:, 16:384])  # ends with the raster below, inside it on the other sides
    kept = (slice(None), slice(48 + HALO, 400), slice(16 + HALO, 384 - HALO))
    np.testing.assert_allclose(tile[:, HALO:, HALO:-HALO], whole[kept], rtol=0, atol=FLOATS)


def test_a_tile_off_that_lattice_has_others() -> None:
    image = fields(320, 320)
    whole, tile = dal_affinities(image), dal_affinities(image[:, 8:, 8:])
    assert np.abs(tile[:, HALO:, HALO:] - whole[:, 8 + HALO :, 8 + HALO :]).max() > 100 * FLOATS


def test_blocks_are_invisible(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    image = fields(210, 330)
    whole = dal_affinities(image, weights=weights)
    monkeypatch.setattr(dal, "BLOCK", 48)
    np.testing.assert_allclose(dal_affinities(image, weights=weights), whole, rtol=0, atol=FLOATS)


def test_blocks_are_invisible_to_instance_norm_too(monkeypatch: pytest.MonkeyPatch, published: Path) -> None:
    image = fields(64, 330)
    whole = dal_affinities(image, weights=published)
    monkeypatch.setattr(dal, "BLOCK", 160)
    np.testing.assert_allclose(dal_affinities(image, weights=published), whole, rtol=0, atol=FLOATS)


def test_tiles_of_a_published_network_differ_as_its_statistics_do(published: Path) -> None:
    image = np.concatenate([fields(32, 256), 2 * fields(32, 64, seed=1)], axis=2)
    whole, tile = (dal_affinities(part, weights=published) for part in (image, image[:, :, :256]))
    assert np.abs(tile[:, :, :64] - whole[:, :, :64]).max() > 100 * FLOATS


def test_halo_and_block_fit_the_network() -> None:
    assert HALO >= RADIUS
    assert HALO % ALIGNMENT == dal.BLOCK % ALIGNMENT == 0


def test_the_channels_are_the_eight_neighbours_clockwise_from_east() -> None:
    assert NEIGHBOURS[0] == (0, 1)
    assert NEIGHBOURS[2] == (1, 0)
    angles = np.unwrap([np.arctan2(row, col) for row, col in NEIGHBOURS])
    np.testing.assert_allclose(np.diff(angles), np.pi / 4)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_same_image_gives_the_same_bits_whatever_the_threads(n_threads: int, weights: Path) -> None:
    image = fields(100, 100)
    once = dal_affinities(image, weights=weights)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        np.testing.assert_array_equal(dal_affinities(image, weights=weights), once)
        assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)


def test_values_far_out_of_range_are_clipped(weights: Path) -> None:
    image = fields(32, 32)
    image[:, 4, 4] = 1e9
    clipped = np.minimum(image, 1.5)
    np.testing.assert_array_equal(dal_affinities(image, weights=weights), dal_affinities(clipped, weights=weights))


def test_a_pixel_without_a_value_does_not_spread(weights: Path) -> None:
    holed, zero = fields(32, 32), fields(32, 32)
    holed[:, 4, 4], zero[:, 4, 4] = np.nan, 0
    np.testing.assert_array_equal(dal_affinities(holed, weights=weights), dal_affinities(zero, weights=weights))


def test_it_draws_nothing_from_the_default_generator(weights: Path) -> None:
    before = torch.get_rng_state()
    dal_affinities(fields(32, 32), weights=weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_four_bands_are_refused() -> None:
    with pytest.raises(InputError, match=r"three bands \(red, green, blue\), got an array of shape \(4, 8, 8\)"):
        dal_affinities(np.zeros((4, 8, 8), np.float32))


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no affinity weights at .*typo\.pth"):
        dal_affinities(np.zeros((3, 8, 8), np.float32), weights=tmp_path / "typo.pth")


def test_without_pytorch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"need torch; install it with: pip install \"superpoint\[train\]\""):
        dal_affinities(np.zeros((3, 8, 8), np.float32))


@pytest.mark.shared
def test_hers_is_more_accurate_with_it_than_with_gaussian_affinities_on_tiles_it_was_not_trained_on(
    shared: Path,
) -> None:
    benchmark = Path(__file__).parents[2] / "benchmarks" / "affinity.py"
    command = [sys.executable, str(benchmark), str(shared / "data" / "dubai"), "--tiles", "5,6"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    scores = {name: (float(accuracy), float(error)) for name, accuracy, _, error in rows[2:4]}
    assert scores["dal"][0] > scores["gaussian"][0]
    assert scores["dal"][1] < scores["gaussian"][1]
