"""Label improvement: on small graphs drawn by hand, and against brute force."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.labels import propagation
from superpoint.labels.evidence import Flag, PseudoLabels
from superpoint.labels.nearest import FillNearest, find_nearest
from superpoint.labels.propagation import Propagate
from superpoint.labels.steps import LabelStep, identify_step, make_step, step_names
from superpoint.labels.suspects import RemoveSuspects
from superpoint.superpixels.graph import SuperpixelGraph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

STEPS = [FillNearest(), Propagate(), Propagate(seed_weight=0.1), RemoveSuspects()]


def graph_of(
    colours: Sequence[float] | NDArray[np.float64],
    edges: Sequence[tuple[int, int]],
    *,
    borders: Sequence[int] | None = None,
    centroids: Sequence[tuple[float, float]] | None = None,
) -> SuperpixelGraph:
    """Make a graph of superpixels 1, 2, ... in a row."""
    means = np.array(colours, np.float64)
    means = means if means.ndim > 1 else means[:, None]
    return SuperpixelGraph(
        ids=np.arange(1, len(means) + 1, dtype=np.uint32),
        sizes=np.full(len(means), 100),
        centroids=np.array(centroids or [(5, 10 * place + 5) for place in range(len(means))], np.float64),
        means=means,
        edges=np.array(edges, np.int64).reshape(-1, 2),
        borders=np.array(borders or [10] * len(edges), np.int64),
    )


def chain(colours: Sequence[float]) -> SuperpixelGraph:
    return graph_of(colours, [(place, place + 1) for place in range(len(colours) - 1)])


def labelled(classes: Mapping[int, int], *, share: float = 1, votes: int = 2, flags: int = 0) -> PseudoLabels:
    ids = sorted(classes)
    return PseudoLabels(
        superpixels=np.array(ids, np.uint32),
        classes=np.array([classes[i] for i in ids], np.uint8),
        shares=np.full(len(ids), share, np.float32),
        votes=np.full(len(ids), votes, np.uint32),
        flags=np.full(len(ids), flags, np.uint8),
    )


def classes_of(labels: PseudoLabels) -> dict[int, int]:
    pairs = zip(labels.superpixels.tolist(), labels.classes.tolist(), strict=True)
    return {superpixel: value for superpixel, value in pairs if value != IGNORE}


def random_case(seed: int, n: int = 30) -> tuple[SuperpixelGraph, PseudoLabels]:
    """Some superpixels anywhere, each touching some others, a quarter of them labelled."""
    rng = np.random.default_rng(seed)
    one, other = np.triu_indices(n, 1)
    touching = rng.random(len(one)) < 3 / n
    edges = np.stack([one[touching], other[touching]], axis=1)
    graph = SuperpixelGraph(
        ids=np.sort(rng.choice(10**6, n, replace=False) + 1).astype(np.uint32),
        sizes=rng.integers(1, 99, n),
        centroids=rng.integers(0, 12, (n, 2)) / 2,
        means=rng.normal(0.5, 0.06, (n, 2)),
        edges=edges,
        borders=rng.integers(1, 20, len(edges)),
    )
    places = np.sort(rng.choice(n, n // 4, replace=False))
    classes = dict(zip(graph.ids[places].tolist(), rng.integers(0, 3, len(places)).tolist(), strict=True))
    return graph, labelled(classes)


# --- fill-nearest


def test_the_nearest_labelled_superpixel_gives_its_class() -> None:
    filled = FillNearest()(labelled({1: 4, 5: 2}), chain([0] * 5))
    assert classes_of(filled) == {1: 4, 2: 4, 3: 4, 4: 2, 5: 2}  # 3 lies in the middle: the lowest id


def test_what_is_filled_says_so_and_what_was_known_of_votes_stays() -> None:
    before = labelled({1: 4, 3: IGNORE}, share=0.5, votes=2, flags=Flag.CONFLICT | Flag.TIED)
    filled = FillNearest()(before, chain([0] * 3))
    assert filled.superpixels.tolist() == [1, 2, 3]
    assert filled.shares.tolist() == [0.5, 0, 0.5]
    assert filled.votes.tolist() == [2, 0, 2]
    tied = Flag.CONFLICT | Flag.TIED
    assert filled.flags.tolist() == [tied, Flag.FILLED, tied | Flag.FILLED]
    assert [c.dtype for c in (filled.superpixels, filled.classes, filled.shares, filled.votes, filled.flags)] == [
        np.dtype(kind) for kind in ("uint32", "uint8", "float32", "uint32", "uint8")
    ]


def test_beyond_the_largest_distance_nothing_is_filled() -> None:
    filled = FillNearest(max_distance=20)(labelled({1: 4}), chain([0] * 5))
    assert classes_of(filled) == {1: 4, 2: 4, 3: 4}


@settings(max_examples=30)
@given(seed=st.integers(0, 9999), n=st.integers(1, 40))
def test_the_nearest_is_the_one_that_looking_at_all_finds_and_a_tie_is_the_firsts(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    points, queries = rng.integers(0, 9, (n, 2)) / 2, rng.integers(0, 9, (20, 2)) / 2
    squares = ((queries[:, None] - points[None]) ** 2).sum(axis=2)  # quarters: exact
    distances, found = find_nearest(points, queries)
    np.testing.assert_array_equal(found, squares.argmin(axis=1))
    np.testing.assert_array_equal(distances, np.sqrt(squares.min(axis=1)))


# --- propagate


def test_a_class_goes_as_far_as_its_colour() -> None:
    filled = Propagate()(labelled({1: 7, 5: 3}), chain([0.2, 0.21, 0.19, 0.6, 0.61]))
    assert classes_of(filled) == {1: 7, 2: 7, 3: 7, 4: 3, 5: 3}
    assert filled.flags.tolist() == [0, Flag.FILLED, Flag.FILLED, Flag.FILLED, 0]


def test_without_colour_and_losses_confidence_falls_in_a_straight_line() -> None:
    classes = np.array([1, IGNORE, IGNORE, IGNORE, 0], np.uint8)
    winners, confidences = Propagate(leak=0).walk(chain([0.5] * 5), classes)
    np.testing.assert_allclose(confidences, [1, 0.75, 0.5, 0.75, 1], atol=1e-6)  # gambler's ruin
    assert winners.tolist() == [1, 1, 0, 0, 0]  # a tie is the lowest class's


def test_walks_cross_long_borders_more_often_than_short_ones() -> None:
    graph = graph_of([0.5] * 3, [(0, 1), (1, 2)], borders=[30, 10])
    _, confidences = Propagate(leak=0).walk(graph, np.array([0, IGNORE, 1], np.uint8))
    assert confidences[1] == pytest.approx(0.75, abs=1e-6)


def test_what_no_walk_from_a_label_reaches_stays_unlabelled() -> None:
    graph = graph_of([0.5] * 6, [(0, 1), (2, 3), (3, 4)])
    for leak in (0, 0.01):
        filled = Propagate(leak=leak, min_confidence=0)(labelled({1: 4}), graph)
        assert classes_of(filled) == {1: 4, 2: 4}


def test_a_label_across_an_edge_of_colour_is_near_but_not_believed() -> None:
    graph = chain([0.2, 0.8])
    winners, (_, confidence) = Propagate(leak=0.01).walk(graph, np.array([4, IGNORE], np.uint8))
    assert winners.tolist() == [4, 4]
    assert confidence == pytest.approx(1e-4 / (1e-4 + 0.01 * (1 - 1e-4)), abs=1e-6)
    assert classes_of(Propagate()(labelled({1: 4}), graph)) == {1: 4}
    assert classes_of(Propagate(leak=0)(labelled({1: 4}), graph)) == {1: 4, 2: 4}


def test_a_label_is_kept_unless_its_neighbours_may_overrule_it() -> None:
    graph = graph_of([0.5] * 5, list(combinations(range(5), 2)))  # each touches all others
    labels = labelled({1: 2, 2: 2, 3: 2, 4: 2, 5: 0})
    assert classes_of(Propagate()(labels, graph)) == {1: 2, 2: 2, 3: 2, 4: 2, 5: 0}
    overruled = Propagate(seed_weight=0.1)(labels, graph)
    assert classes_of(overruled) == {1: 2, 2: 2, 3: 2, 4: 2, 5: 2}
    assert overruled.flags.tolist() == [0, 0, 0, 0, Flag.FILLED | Flag.REMOVED]
    assert overruled.votes.tolist() == [2] * 5
    assert classes_of(Propagate(seed_weight=5)(labels, graph))[5] == 0


@settings(max_examples=25)
@given(seed=st.integers(0, 9999), leak=st.sampled_from([0.0, 0.01, 1.0]), seed_weight=st.sampled_from([None, 0.3]))
def test_confidences_are_those_of_a_walk_that_is_walked_step_by_step(
    seed: int, leak: float, seed_weight: float | None
) -> None:
    graph, labels = random_case(seed)
    classes = labels.class_of(graph.ids)
    winners, confidences = Propagate(leak=leak, seed_weight=seed_weight).walk(graph, classes)
    n = len(graph)
    passing, borders, arriving = np.zeros((n, n)), np.zeros(n), np.zeros((n, 3))
    for (a, b), border in zip(graph.edges, graph.borders, strict=True):
        difference = np.mean((graph.means[a] - graph.means[b]) ** 2)
        passing[a, b] = passing[b, a] = border * max(np.exp(-difference / (2 * 0.04**2)), 1e-4)
        borders[[a, b]] += border
    totals = passing.sum(axis=1) + leak * (borders - passing.sum(axis=1))
    for place, value in enumerate(classes):
        if value == IGNORE:
            continue
        if seed_weight is None or borders[place] == 0:
            passing[place], totals[place], arriving[place, value] = 0, 1, 1
        else:
            arriving[place, value] = seed_weight * borders[place]
            totals[place] += arriving[place, value]
    totals[totals == 0] = 1
    step, ended = passing / totals[:, None], arriving / totals[:, None]
    for _ in range(30):  # twice as many steps each time
        ended, step = ended + step @ ended, step @ step
    np.testing.assert_allclose(confidences, ended.max(axis=1), atol=2e-6)
    clear = np.sort(ended, axis=1)[:, -2] < ended.max(axis=1) - 1e-5
    np.testing.assert_array_equal(winners[clear], ended.argmax(axis=1)[clear])


def test_walks_that_never_end_are_an_error_and_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "MAX_ROUNDS", 3)
    with pytest.raises(InputError, match="not settled after 3 rounds; give a larger leak or sigma"):
        Propagate(leak=0)(labelled({1: 4}), chain([0.5] * 50))


# --- remove-suspects


def test_a_weak_vote_is_removed_and_its_evidence_stays() -> None:
    labels = replace(labelled({1: 4, 2: 4, 3: 4}), shares=np.array([1, 0.5, 0.4], np.float32))
    kept = RemoveSuspects(min_share=0.5, outlier=None)(labels, chain([0] * 3))
    assert classes_of(kept) == {1: 4, 2: 4}
    assert kept.flags.tolist() == [0, 0, Flag.REMOVED]
    np.testing.assert_array_equal(kept.shares, labels.shares)
    np.testing.assert_array_equal(kept.votes, labels.votes)


def test_what_was_filled_has_no_share_to_be_weak() -> None:
    filled = FillNearest()(labelled({1: 4}), chain([0] * 3))
    assert classes_of(RemoveSuspects(min_share=1)(filled, chain([0] * 3))) == {1: 4, 2: 4, 3: 4}


def test_an_obvious_colour_outlier_is_removed() -> None:
    graph = chain([0.50, 0.51, 0.49, 0.52, 0.9, 0.48])
    labels = labelled(dict.fromkeys(range(1, 7), 4))
    assert sorted(classes_of(RemoveSuspects()(labels, graph))) == [1, 2, 3, 4, 6]
    assert classes_of(RemoveSuspects(outlier=None)(labels, graph)) == classes_of(labels)
    assert sorted(classes_of(RemoveSuspects(outlier=0.5)(labels, graph))) == [1, 2]  # the spread is 0.022


def test_a_class_of_four_has_no_outlier_and_one_that_is_all_alike_bears_a_little() -> None:
    few, alike = chain([0.5, 0.5, 0.5, 0.9]), chain([0.5, 0.5, 0.5, 0.5, 0.5, 0.52, 0.54])
    assert len(classes_of(RemoveSuspects()(labelled(dict.fromkeys(range(1, 5), 4)), few))) == 4
    assert sorted(classes_of(RemoveSuspects()(labelled(dict.fromkeys(range(1, 8), 4)), alike))) == [1, 2, 3, 4, 5, 6]


def test_one_band_is_enough_to_be_an_outlier_and_other_classes_do_not_count() -> None:
    colours = np.array([[0.5, 0.1 + place / 100] for place in range(5)] + [[0.5, 0.9]] + [[0.9, 0.9]] * 5)
    classes = dict.fromkeys(range(1, 7), 0) | dict.fromkeys(range(7, 12), 1)
    kept = RemoveSuspects()(labelled(classes), graph_of(colours, []))
    assert sorted(set(classes) - set(classes_of(kept))) == [6]


# --- all of them


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_without_labels_there_is_nothing_to_do(step: LabelStep) -> None:
    graph, _ = random_case(0)
    assert len(classes_of(step(labelled({}), graph))) == 0
    empty = graph_of(np.zeros((0, 3)), [])
    assert len(step(labelled({}), empty)) == 0


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_where_all_is_labelled_nothing_is_filled(step: LabelStep) -> None:
    labels = labelled({1: 4, 2: 4, 3: 4})
    assert classes_of(step(labels, chain([0.5] * 3))) == {1: 4, 2: 4, 3: 4}


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_what_was_unlabelled_and_stays_so_is_not_touched(step: LabelStep) -> None:
    labels = labelled({1: IGNORE, 3: 2}, share=0.4, flags=Flag.TOO_WEAK)
    after = step(labels, graph_of([0.1, 0.2, 0.9], [], centroids=[(0, 0), (0, 9), (50, 50)]))
    if not after.flags[0] & Flag.FILLED:
        assert (after.shares[0], after.votes[0], after.flags[0]) == (np.float32(0.4), 2, Flag.TOO_WEAK)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_label_that_is_not_in_the_graph_is_refused(step: LabelStep) -> None:
    with pytest.raises(ValueError, match="superpixel 9 has a label and is not in the graph"):
        step(labelled({1: 0, 9: 1}), chain([0] * 3))


@settings(max_examples=20)
@given(seed=st.integers(0, 9999), place=st.integers(1, len(STEPS) - 1))
def test_which_ids_superpixels_have_does_not_matter(seed: int, place: int) -> None:
    graph, labels = random_case(seed)
    order = np.random.default_rng(seed).permutation(len(graph))  # the new place of each
    back = np.argsort(order)
    edges = np.sort(order[graph.edges], axis=1)
    sort = np.lexsort((edges[:, 1], edges[:, 0]))
    renamed = replace(
        graph, sizes=graph.sizes[back], centroids=graph.centroids[back], means=graph.means[back],
        edges=edges[sort], borders=graph.borders[sort],
    )  # fmt: skip
    names = dict(zip(graph.ids.tolist(), graph.ids[order].tolist(), strict=True))
    found = STEPS[place](labelled({names[i]: c for i, c in classes_of(labels).items()}), renamed)
    expected = STEPS[place](labels, graph)
    assert classes_of(found) == {names[i]: value for i, value in classes_of(expected).items()}


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_comes_back_from_its_json(step: LabelStep) -> None:
    told: dict[str, Any] = json.loads(json.dumps(identify_step(step)))
    assert make_step(told["name"], told["parameters"]) == step
    assert told["version"] == "1"


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("smooth", {}, "unknown label step 'smooth'; known: fill-nearest, propagate, remove-suspects"),
        ("propagate", {"alpha": 1}, "label step propagate has no parameter 'alpha'; known: sigma, leak, min_conf"),
        ("propagate", {"sigma": 0}, "label step propagate: sigma must be above 0, got 0.0"),
        ("propagate", {"leak": 1.5}, "label step propagate: leak must be at most 1, got 1.5"),
        ("propagate", {"min_confidence": "high"}, "min_confidence must be a number, got 'high'"),
        ("propagate", {"seed_weight": 0}, "seed_weight must be above 0, got 0.0; leave it out to keep every label"),
        ("fill-nearest", {"max_distance": -1}, "label step fill-nearest: max_distance must be at least 0, got -1"),
        ("remove-suspects", {"min_share": 2}, "label step remove-suspects: min_share must be at most 1, got 2.0"),
    ],
)
def test_a_step_that_cannot_be_says_why(name: str, parameters: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        make_step(name, parameters)
    assert sentence in str(error.value)


def test_the_steps_are_listed() -> None:
    assert step_names() == ["fill-nearest", "propagate", "remove-suspects"]
