from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superpoint.cache.keys import checksum, digest, file_digest

if TYPE_CHECKING:
    from pathlib import Path

# Small, and many of them alike.
documents = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
        max_leaves=6,
    ),
    max_size=5,
)


@settings(max_examples=50)
@given(document=documents)
def test_a_key_is_the_same_in_any_order_and_after_a_round_trip_through_json(document: dict[str, Any]) -> None:
    backwards = dict(reversed(document.items()))
    assert digest(document) == digest(backwards) == digest(json.loads(json.dumps(document)))


@given(one=documents, other=documents)
def test_two_provenances_have_one_key_only_if_their_json_is_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) == same


def test_a_key_is_the_same_next_year() -> None:
    text = b'{"bands":[1,2],"crs":null,"tile":512}'
    assert digest({"tile": 512, "bands": [1, 2], "crs": None}) == hashlib.blake2b(text, digest_size=16).hexdigest()


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"low": float("nan")})


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "points.csv").write_bytes(content)
    assert file_digest(tmp_path / "points.csv") == hashlib.blake2b(content, digest_size=16).hexdigest()


def test_a_checksum_changes_with_any_bit_and_not_with_the_layout_in_memory() -> None:
    labels = np.arange(12, dtype=np.uint32).reshape(3, 4)
    flipped = labels.copy()
    flipped[2, 3] ^= 1
    assert (
        checksum(labels)
        == checksum(np.asfortranarray(labels))
        == hashlib.blake2b(labels.tobytes(), digest_size=16).hexdigest()
    )
    assert checksum(labels) != checksum(flipped)
    assert checksum(labels, flipped) != checksum(flipped, labels)
