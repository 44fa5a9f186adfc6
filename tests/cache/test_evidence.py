from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from superpoint.cache.evidence import EMPTY, evidence_digest, final_evidence, read_stages, read_tally, write_evidence
from superpoint.errors import UnreachableError
from superpoint.labels.evidence import PseudoLabels
from superpoint.labels.vote import Tally, VoteRule, elect, tally_votes

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = ("superpixels", "classes", "shares", "votes", "flags")


@pytest.fixture
def tally() -> Tally:
    rng = np.random.default_rng(0)
    return tally_votes(rng.integers(1, 2**32, 50, np.uint32), rng.integers(0, 4, 50, np.uint8))


def labels(n: int) -> PseudoLabels:
    rng = np.random.default_rng(n)
    return PseudoLabels(
        superpixels=np.sort(rng.choice(10_000, n, replace=False)).astype(np.uint32),
        classes=rng.integers(0, 9, n, np.uint8),
        shares=rng.random(n, np.float32),
        votes=rng.integers(0, 9, n, np.uint32),
        flags=rng.integers(0, 32, n, np.uint8),
    )


def same(left: object, right: object, names: tuple[str, ...] = FIELDS) -> None:
    for name in names:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
        assert getattr(left, name).dtype == getattr(right, name).dtype


def written(folder: Path, tally: Tally, stages: Mapping[str, PseudoLabels]) -> str:
    path = f"{folder}/pseudo-masks/scene-{'0' * 32}.zarr"
    write_evidence(path, tally, stages)
    return path


def test_votes_and_stages_come_back_as_they_were_in_their_order(tmp_path: Path, tally: Tally) -> None:
    stages = {"vote": elect(tally, VoteRule()), "remove-suspects": labels(7), "propagate": labels(90)}
    path = written(tmp_path, tally, stages)
    same(read_tally(path), tally, ("superpixels", "values", "counts", "weights"))
    found = read_stages(path)
    assert list(found) == list(stages)
    for name, expected in stages.items():
        same(found[name], expected)
    votes, final = final_evidence(path, evidence_digest(tally, stages["propagate"]))
    same(final, stages["propagate"])
    same(votes, tally, ("superpixels", "values", "counts", "weights"))


def test_the_tables_are_plain_parquet(tmp_path: Path, tally: Tally) -> None:
    path = written(tmp_path, tally, {"vote": labels(3)})
    votes = pd.read_parquet(path.replace(".zarr", ".votes.parquet"))
    assert votes["votes"].sum() == 50
    assert list(votes) == ["superpixel", "class", "votes", "weight"]
    superpixels = pd.read_parquet(path.replace(".zarr", ".superpixels.parquet"))
    assert list(superpixels) == ["stage", "superpixel", "class", "share", "votes", "flags"]
    assert set(superpixels["stage"]) == {"vote"}


def test_a_vote_without_points_labels_nothing(tmp_path: Path) -> None:
    nobody = tally_votes(np.zeros(0, np.uint32), np.zeros(0, np.uint8))
    path = written(tmp_path, nobody, {"vote": elect(nobody, VoteRule())})
    votes, final = final_evidence(path, evidence_digest(nobody, EMPTY))
    same(final, EMPTY)
    assert len(votes) == 0


def test_the_same_evidence_is_the_same_bytes(tmp_path: Path, tally: Tally) -> None:
    one, other = (written(tmp_path / name, tally, {"vote": labels(5)}) for name in ("one", "other"))
    for suffix in (".votes.parquet", ".superpixels.parquet"):
        assert Path(one.replace(".zarr", suffix)).read_bytes() == Path(other.replace(".zarr", suffix)).read_bytes()


def test_labels_that_are_gone_or_others_are_not_painted(tmp_path: Path, tally: Tally) -> None:
    path = written(tmp_path, tally, {"vote": labels(5)})
    with pytest.raises(UnreachableError, match="has other votes beside it than were written; run the same command"):
        final_evidence(path, evidence_digest(tally, labels(6)))
    Path(path.replace(".zarr", ".superpixels.parquet")).unlink()
    with pytest.raises(UnreachableError, match="run the same command again"):
        final_evidence(path, evidence_digest(tally, labels(5)))
