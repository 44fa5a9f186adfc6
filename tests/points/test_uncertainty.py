from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.points.uncertainty import class_entropy, likeliest, vote_entropy


def test_the_entropy_of_probabilities_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(5), size=(6, 7)).transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_allclose(class_entropy(shares), entropy(shares, axis=0), rtol=1e-5)


def test_a_pixel_without_probabilities_is_not_known() -> None:
    shares = np.array([[[np.nan, 0, 0.5, 1]], [[0.5, 0, 0.5, 0]]], np.float32)
    np.testing.assert_allclose(class_entropy(shares), [[np.nan, np.nan, np.log(2), 0]], rtol=1e-6)
    assert likeliest(shares).tolist() == [[IGNORE, IGNORE, 0, 0]]


@given(maps=hnp.arrays(np.uint8, (4, 2, 2), elements=st.sampled_from([0, 1, 2, 254, IGNORE])))
def test_the_entropy_of_votes_is_that_of_their_counts(
    maps: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]],
) -> None:
    found = vote_entropy(maps)
    for row, col in np.ndindex(2, 2):
        votes = [vote for vote in maps[:, row, col].tolist() if vote != IGNORE]
        expected = entropy(np.bincount(votes)) if len(votes) > 1 else np.nan
        np.testing.assert_allclose(found[row, col], expected, atol=1e-6)


@pytest.mark.parametrize("values", [[2.0, 1.0], [-0.5, 1.5], [0.2, 0.1]])
def test_numbers_that_are_no_probabilities_are_refused(values: list[float]) -> None:
    logits = np.array([[[0.5, values[0]]], [[0.5, values[1]]]], np.float32)
    for look in (class_entropy, likeliest):
        with pytest.raises(InputError, match=r"the bands of row 0, col 1 add up to .*give the output of a softmax"):
            look(logits)
