from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.training.dataset import BalancedDraw, EpochShuffle, InTurn, Item, LabelledPatches
from superpoint.training.patches import count_labels, lattice, padded, patch_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.tiles import Window

lengths = st.integers(1, 100)
sizes = st.integers(1, 40)


@dataclass(frozen=True)
class Arrays:
    """A raster in memory, handing out read-only views as a memory map would."""

    bands: NDArray[np.float32]
    classes: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int]:
        return self.classes.shape[0], self.classes.shape[1]

    def image(self, window: Window) -> NDArray[np.float32]:
        return read_only(self.bands[:, *window.slices])

    def labels(self, window: Window) -> NDArray[np.uint8]:
        return read_only(self.classes[window.slices])

    def superpixels(self, window: Window) -> NDArray[np.uint32]:
        return np.arange(1, self.classes.size + 1, dtype=np.uint32).reshape(self.shape)[window.slices]


def read_only[T: np.generic](view: NDArray[T]) -> NDArray[T]:
    view.flags.writeable = False
    return view


def raster(shape: tuple[int, int], *, seed: int = 0, labelled: float = 0.3, n_classes: int = 3) -> Arrays:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, n_classes, shape).astype(np.uint8)
    classes[rng.random(shape) >= labelled] = 255
    return Arrays(rng.random((2, *shape), np.float32), classes)


@given(length=lengths, size=sizes, step=sizes)
def test_a_lattice_covers_every_pixel_with_patches_at_most_a_step_apart(length: int, size: int, step: int) -> None:
    starts = lattice(length, size, min(step, size))
    assert starts[0] == 0
    assert starts[-1] == max(0, length - size)
    assert all(0 < b - a <= min(step, size) for a, b in itertools.pairwise(starts))


@given(shape=st.tuples(lengths, lengths), size=sizes)
def test_windows_cover_the_raster_and_are_full_size_wherever_it_is(shape: tuple[int, int], size: int) -> None:
    covered = np.zeros(shape, bool)
    for window in patch_windows(shape, size):
        assert window.shape == (min(size, shape[0]), min(size, shape[1]))
        assert covered[window.slices].shape == window.shape
        covered[window.slices] = True
    assert covered.all()


@given(shape=st.tuples(lengths, lengths), size=sizes, seed=st.integers(0, 2**32 - 1))
def test_each_labelled_pixel_is_counted_once_though_the_last_windows_overlap(
    shape: tuple[int, int], size: int, seed: int
) -> None:
    sources = [raster(shape, seed=seed, labelled=0.1), raster((7, 9), seed=seed)]
    counted = count_labels(sources, n_classes=3, patch_size=size)
    values = np.concatenate([source.classes.ravel() for source in sources])
    assert counted.counts == tuple(np.bincount(values, minlength=256)[:3])


@given(shape=st.tuples(lengths, lengths), size=sizes, seed=st.integers(0, 2**32 - 1))
def test_the_patches_are_the_windows_that_hold_a_label_and_their_cores_do_not_overlap(
    shape: tuple[int, int], size: int, seed: int
) -> None:
    source = raster(shape, seed=seed, labelled=0.02)
    patches = count_labels([source], n_classes=3, patch_size=size).patches
    expected = [w for w in patch_windows(shape, size) if (source.classes[w.slices] != 255).any()]
    assert [patch.window for patch in patches] == expected
    owners = np.zeros(shape, int)
    for patch in patches:
        owners[patch.core.slices] += 1
    assert owners.max(initial=0) <= 1
    assert (owners[source.classes != 255] == 1).all()


def test_frequencies_are_shares_of_the_labelled_pixels() -> None:
    classes = np.full((4, 4), 255, np.uint8)
    classes[0], classes[1, 0] = 2, 0
    counted = count_labels([Arrays(np.zeros((1, 4, 4), np.float32), classes)], n_classes=4, patch_size=3)
    np.testing.assert_array_equal(counted.frequencies, [0.2, 0, 0.8, 0])
    assert counted.frequencies.dtype == np.float64


def test_frequencies_of_nothing_are_refused() -> None:
    counted = count_labels([raster((8, 8), labelled=0)], n_classes=3, patch_size=4)
    assert counted.patches == ()
    with pytest.raises(InputError, match="no pixel is labelled"):
        _ = counted.frequencies


def test_a_label_outside_the_class_table_is_named_with_its_place() -> None:
    source = raster((40, 40))
    source.classes[35, 20] = 9
    with pytest.raises(InputError, match=r"value 9 in source 1, window at row 24, col 16; .* 0 to 2"):
        count_labels([raster((8, 8)), source], n_classes=3, patch_size=16)


def test_an_item_is_the_window_of_its_source() -> None:
    sources = [raster((30, 40), seed=seed) for seed in range(2)]
    patches = count_labels(sources, n_classes=3, patch_size=16).patches
    items = LabelledPatches(sources, patches, patch_size=16)
    assert len(items) == len(patches) == 12
    for patch, (image, labels) in zip(patches, items, strict=True):
        np.testing.assert_array_equal(image, sources[patch.source].bands[:, *patch.window.slices])
        np.testing.assert_array_equal(labels, sources[patch.source].classes[patch.window.slices])
        assert (image.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_a_raster_smaller_than_a_patch_is_mirrored_and_unlabelled_beyond_its_edge() -> None:
    source = raster((3, 40), labelled=1.0)
    patches = count_labels([source], n_classes=3, patch_size=16).patches
    image, labels = LabelledPatches([source], patches, patch_size=16)[0]
    assert image.shape == (2, 16, 16)
    np.testing.assert_array_equal(image[:, :3], source.bands[:, :, :16])
    np.testing.assert_array_equal(image[:, 3], source.bands[:, 1, :16])
    assert (labels[:3] != 255).all()
    assert (labels[3:] == 255).all()


@given(shape=st.tuples(st.integers(1, 20), st.integers(1, 20)), size=st.integers(1, 50))
def test_padding_keeps_the_image_and_adds_only_its_own_values(shape: tuple[int, int], size: int) -> None:
    image = raster(shape).bands
    larger = padded(image, size)
    assert larger.shape[1:] == (max(size, shape[0]), max(size, shape[1]))
    np.testing.assert_array_equal(larger[:, : shape[0], : shape[1]], image)
    assert np.isin(larger, image).all()


def test_with_cores_only_no_pixel_is_scored_twice() -> None:
    source = raster((21, 37), labelled=1.0)
    patches = count_labels([source], n_classes=3, patch_size=16).patches
    scored = [labels for _, labels in LabelledPatches([source], patches, patch_size=16, cores_only=True)]
    assert sum(int((labels != 255).sum()) for labels in scored) == 21 * 37


def test_the_order_is_a_permutation_of_the_seed_and_the_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[Item]:
        sampler = EpochShuffle(50, seed=seed)
        for earlier in range(epoch + 1):
            sampler.set_epoch(earlier)
        return list(sampler)

    fresh = EpochShuffle(50, seed=1)
    fresh.set_epoch(3)
    assert list(fresh) == list(fresh) == order(1, 3)
    assert sorted(fresh) == [Item(index) for index in range(50)]
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_a_random_placement_moves_each_window_within_its_reach_and_its_raster_and_keeps_a_label() -> None:
    source = raster((60, 70), labelled=0.002)
    patches = count_labels([source], n_classes=3, patch_size=16).patches
    items = LabelledPatches([source], patches, patch_size=16)
    order, seen = EpochShuffle(len(patches), seed=0, reach_px=8), set()
    for epoch in range(20):
        for item in epoch_of(order, epoch):
            image, labels = items[item]
            row, col = (int(words.split()[-1]) for words in items.place(item).split(","))
            np.testing.assert_array_equal(image, source.bands[:, row : row + 16, col : col + 16])
            np.testing.assert_array_equal(labels, source.classes[row : row + 16, col : col + 16])
            assert (labels != 255).any()
            grid = patches[item.patch].window
            assert max(abs(row - grid.row), abs(col - grid.col)) <= 8
            seen.add((item.patch, row - grid.row, col - grid.col))
    assert len(seen) > 10 * len(patches)


def test_moves_follow_from_the_seed_and_the_epoch_and_are_even() -> None:
    order = EpochShuffle(4000, seed=3, reach_px=2)
    items = epoch_of(order, 1)
    assert items == epoch_of(EpochShuffle(4000, seed=3, reach_px=2), 1) != epoch_of(order, 2)
    assert [item.patch for item in items] == [item.patch for item in epoch_of(EpochShuffle(4000, seed=3), 1)]
    counts = np.bincount([5 * item.down + item.right + 12 for item in items])
    np.testing.assert_allclose(counts, 160, atol=5 * 160**0.5)


def test_superpixels_come_along_and_are_nodata_beyond_the_edge_of_a_small_raster() -> None:
    source = raster((3, 40), labelled=1.0)
    patches = count_labels([source], n_classes=3, patch_size=16).patches
    image, labels, ids = LabelledPatches([source], patches, patch_size=16, superpixels=True)[1]
    assert (image.shape, labels.shape, ids.dtype) == ((2, 16, 16), (16, 16), torch.int64)
    np.testing.assert_array_equal(ids[:3], np.arange(1, 121).reshape(3, 40)[:, 16:32])
    assert (ids[3:] == 0).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_the_classes_of_each_patch_are_those_in_its_window(seed: int) -> None:
    source = raster((40, 50), seed=seed, labelled=0.01)
    counted = count_labels([source], n_classes=4, patch_size=16)
    expected = [np.bincount(source.classes[p.window.slices].ravel(), minlength=256)[:4] for p in counted.patches]
    np.testing.assert_array_equal(counted.by_patch, np.array(expected).reshape(-1, 4))


def test_the_digest_of_labels_is_that_of_their_values() -> None:
    def digest(source: Arrays) -> str:
        return count_labels([source], n_classes=3, patch_size=16).digest

    one, other = raster((40, 50)), raster((40, 50))
    assert digest(one) == digest(other)
    other.classes[39, 49] = (int(other.classes[39, 49]) + 1) % 3
    assert digest(one) != digest(other)


@given(n_items=st.integers(1, 30), n_ranks=st.integers(1, 4), epoch=st.integers(0, 3))
def test_the_shares_of_several_devices_are_equally_long_and_together_the_order_of_the_epoch(
    n_items: int, n_ranks: int, epoch: int
) -> None:
    whole = epoch_of(EpochShuffle(n_items, seed=2, reach_px=3), epoch)
    orders = [EpochShuffle(n_items, seed=2, reach_px=3, rank=rank, n_ranks=n_ranks) for rank in range(n_ranks)]
    shares = [epoch_of(order, epoch) for order in orders]
    assert {len(share) for share in shares} == {len(orders[0])} == {-(-n_items // n_ranks)}
    dealt = [share[turn] for turn in range(len(shares[0])) for share in shares]
    assert dealt[:n_items] == whole
    assert dealt[n_items:] == whole[: len(dealt) - n_items] or n_items < n_ranks
    assert [orders[0].share(rank) for rank in range(n_ranks)] == shares


@given(n_items=st.integers(1, 30), n_ranks=st.integers(1, 4))
def test_several_devices_validate_each_patch_once_and_as_many_each(n_items: int, n_ranks: int) -> None:
    shares = [list(InTurn(n_items, rank=rank, n_ranks=n_ranks)) for rank in range(n_ranks)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(item.patch for share in shares for item in share if item.labelled) == list(range(n_items))


def test_a_patch_that_is_asked_for_unlabelled_has_its_image_alone() -> None:
    source = raster((16, 16), labelled=1.0)
    items = LabelledPatches([source], count_labels([source], n_classes=3, patch_size=16).patches, patch_size=16)
    image, labels = items[Item(0, labelled=False)]
    np.testing.assert_array_equal(image, source.bands)
    assert (labels == 255).all()


def test_balanced_draws_make_each_class_as_often_the_reason() -> None:
    by_patch = np.array([[100, 0, 0], [100, 0, 0], [100, 4, 0], [50, 1, 0]])
    draw = BalancedDraw(by_patch, seed=0)
    by_hand = [(100 / 350 + 0) / 2, (100 / 350 + 0) / 2, (100 / 350 + 4 / 5) / 2, (50 / 350 + 1 / 5) / 2]
    np.testing.assert_allclose(draw.probabilities, by_hand)
    drawn = [item.patch for epoch in range(2000) for item in epoch_of(draw, epoch)]
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), by_hand, atol=0.02)  # five deviations of 8000 draws


def test_balanced_draws_make_a_rare_class_as_common_as_can_be() -> None:
    by_patch = np.repeat([[100, 0], [0, 100]], [19, 1], axis=0)
    drawn = [item.patch for epoch in range(200) for item in epoch_of(BalancedDraw(by_patch, seed=1), epoch)]
    assert by_patch[drawn, 1].sum() / by_patch[drawn].sum() == pytest.approx(0.5, abs=0.04)  # of 4000 draws


def test_balanced_draws_follow_from_the_seed_and_the_epoch_alone() -> None:
    by_patch = np.random.default_rng(0).integers(1, 9, (50, 3))
    one, other = BalancedDraw(by_patch, seed=1), BalancedDraw(by_patch, seed=1)
    epoch_of(other, 5)
    assert epoch_of(one, 3) == epoch_of(other, 3) != epoch_of(other, 4)
    assert len(one) == len(epoch_of(one, 0)) == 50


def epoch_of(order: EpochShuffle, epoch: int) -> list[Item]:
    order.set_epoch(epoch)
    return list(order)
