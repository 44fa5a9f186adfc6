from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from superpoint.classes import IGNORE
from superpoint.labels.paint import _slot_of, paint, paint_shares
from superpoint.labels.vote import Tally, VoteRule, elect, tally_votes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.labels.evidence import PseudoLabels

    Labels = NDArray[np.uint32]

N_CLASSES = 4


def ids_in_one_slot(n_ids: int) -> list[int]:
    """Return ids, far apart, that push each other out of a painter's memory."""
    candidates = np.arange(2**32 - 1, 2**32 - 200_000, -1).tolist()
    wanted = _slot_of(np.uint32(candidates[0]))
    return [label for label in candidates if _slot_of(np.uint32(label)) == wanted][:n_ids]


IDS = [1, 2, 3, 5, 900, 2**31, *ids_in_one_slot(3)]
label_maps = arrays.arrays(
    np.uint32, arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9), elements=st.sampled_from([0, *IDS])
)
tallies = st.lists(st.tuples(st.sampled_from(IDS), st.integers(0, N_CLASSES - 1)), max_size=40)


def tally_of(cast: list[tuple[int, int]]) -> Tally:
    superpixels, values = np.array(cast, np.int64).reshape(-1, 2).T
    return tally_votes(superpixels.astype(np.uint32), values.astype(np.uint8))


def painted_by_numpy(labels: Labels, pseudo: PseudoLabels) -> tuple[NDArray[Any], ...]:
    """Return what `paint` gives, superpixel by superpixel."""
    mask, share = np.full(labels.shape, IGNORE, np.uint8), np.zeros(labels.shape, np.float32)
    votes, flags = np.zeros(labels.shape, np.uint16), np.zeros(labels.shape, np.uint8)
    for place, superpixel in enumerate(pseudo.superpixels):
        here = labels == superpixel
        mask[here], share[here] = pseudo.classes[place], pseudo.shares[place]
        votes[here], flags[here] = min(pseudo.votes[place], 65_535), pseudo.flags[place]
    return mask, share, votes, flags


def shares_by_numpy(labels: Labels, tally: Tally) -> NDArray[np.float32]:
    shares = np.zeros((N_CLASSES, *labels.shape), np.float32)
    for superpixel, value, weight in zip(tally.superpixels, tally.values, tally.weights, strict=True):
        shares[value, labels == superpixel] = weight / tally.weights[tally.superpixels == superpixel].sum()
    return shares


def assert_same(got: tuple[NDArray[Any], ...], expected: tuple[NDArray[Any], ...]) -> None:
    for values, others in zip(got, expected, strict=True):
        np.testing.assert_array_equal(values, others, strict=True)


@given(labels=label_maps, cast=tallies)
def test_each_pixel_has_what_is_known_of_its_superpixel(labels: Labels, cast: list[tuple[int, int]]) -> None:
    tally = tally_of(cast)
    pseudo = elect(tally, VoteRule(tie="ignore"))
    assert_same(paint(labels, pseudo), painted_by_numpy(labels, pseudo))
    assert_same((paint_shares(labels, tally, N_CLASSES),), (shares_by_numpy(labels, tally),))


@given(labels=label_maps, cast=tallies, data=st.data())
def test_painting_in_pieces_is_painting_the_whole(
    labels: Labels, cast: list[tuple[int, int]], data: st.DataObject
) -> None:
    tally = tally_of(cast)
    pseudo = elect(tally, VoteRule())
    row, col = (data.draw(st.integers(0, side)) for side in labels.shape)
    quarters = [[labels[:row, :col], labels[:row, col:]], [labels[row:, :col], labels[row:, col:]]]
    pieces = [[(*paint(piece, pseudo), paint_shares(piece, tally, N_CLASSES)) for piece in half] for half in quarters]
    whole = (*paint(labels, pseudo), paint_shares(labels, tally, N_CLASSES))
    assert_same(tuple(np.block([[piece[n] for piece in half] for half in pieces]) for n in range(5)), whole)


def test_a_large_tile_of_superpixels_whose_ids_lie_anywhere_is_painted_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 2**32, 9_000, np.uint32)  # more than the painter remembers
    rows, cols = np.indices((300, 500)) // 4
    labels = ids[(rows * 125 + cols) % len(ids)]
    points = rng.choice(ids, 20_000)
    tally = tally_votes(points, rng.integers(0, N_CLASSES, len(points)).astype(np.uint8))
    pseudo = elect(tally, VoteRule())
    np.testing.assert_array_equal(paint(labels, pseudo)[0], pseudo.class_of(labels.ravel()).reshape(labels.shape))
    places = np.searchsorted(pseudo.superpixels, labels)
    known = np.append(pseudo.superpixels, 0)[places] == labels
    np.testing.assert_array_equal(paint(labels, pseudo)[1], np.where(known, np.append(pseudo.shares, 0)[places], 0))
    np.testing.assert_allclose(paint_shares(labels, tally, N_CLASSES).sum(0), known, rtol=1e-6)  # float32 shares


def test_more_votes_than_a_band_holds_are_painted_as_65535() -> None:
    pseudo = elect(tally_of([(1, 0)] * 70_000), VoteRule())
    assert pseudo.votes.tolist() == [70_000]
    assert paint(np.ones((1, 1), np.uint32), pseudo)[2].tolist() == [[65_535]]


def test_shares_are_of_weights_not_of_points() -> None:
    superpixels, values = np.full(4, 6, np.uint32), np.array([0, 0, 0, 1], np.uint8)
    tally = tally_votes(superpixels, values, np.array([3, 3, 3, 4], np.int32))
    assert paint_shares(np.array([[6]], np.uint32), tally, 2).tolist() == [[[0.5]], [[0.5]]]


def test_what_cannot_be_written_to_is_painted_all_the_same() -> None:
    labels = np.array([[3, 0], [3, 9]], np.uint32)
    pseudo = elect(tally_of([(3, 1)]), VoteRule())
    for column in (labels, pseudo.superpixels, pseudo.classes):
        column.flags.writeable = False
    assert paint(labels, pseudo)[0].tolist() == [[1, IGNORE], [1, IGNORE]]
    assert paint(labels[:, ::-1], pseudo)[0].tolist() == [[IGNORE, 1], [IGNORE, 1]]


def test_a_class_beyond_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"votes for class 3, but only 3 classes \(0 to 2\)"):
        paint_shares(np.ones((1, 1), np.uint32), tally_of([(1, 3)]), 3)
