"""Which rasters train, validate and test: whole groups of them, so that nothing leaks from one to another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

SPLITS: Final = ("train", "validation", "test")


def divide_groups(groups: Sequence[str], shares: Sequence[float], rng: np.random.Generator) -> dict[str, str]:
    """Divide groups at random, so that each split gets about its share of the items.

    Groups are taken in random order, and each goes to the split that is furthest below its share; of the
    splits that are to have anything, each gets at least one.

    Parameters
    ----------
    groups : sequence of str
        Group of each item.
    shares : sequence of float
        Share of the items for `train`, `validation` and `test`, not below 0; only their ratios count.
    rng : numpy.random.Generator
        Source of the order.

    Returns
    -------
    dict of str to str
        Split of each group.

    Raises
    ------
    InputError
        If the shares are not allowed, or there are fewer groups than splits to fill.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> sorted(divide_groups(["a", "a", "b", "b", "c", "c"], [1, 0, 1], rng).values())
    ['test', 'train', 'train']
    """
    if len(shares) != len(SPLITS) or min(shares) < 0 or not sum(shares):
        raise InputError(f"shares are three numbers, of train, validation and test, as 60,20,20; got {list(shares)}")
    sizes = Counter(groups)
    asked = {name: share / sum(shares) for name, share in zip(SPLITS, shares, strict=True) if share}
    if len(sizes) < len(asked):
        raise InputError(
            f"{len(sizes)} groups of rasters cannot be divided into {', '.join(asked)}; give more rasters, or finer "
            f"groups"
        )
    held = dict.fromkeys(asked, 0)
    found = {}
    order = [sorted(sizes)[place] for place in rng.permutation(len(sizes))]
    for n_left, group in zip(range(len(order), 0, -1), order, strict=True):
        empty = [name for name in asked if not held[name]]
        among = empty if len(empty) >= n_left else list(asked)
        split = min(among, key=lambda name: held[name] - asked[name] * len(groups))
        held[split] += sizes[group]
        found[group] = split
    return found


def named_groups(groups: Sequence[str], lists: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the split of each group that is named; the others are in none.

    Parameters
    ----------
    groups : sequence of str
        Group of each item.
    lists : mapping of str to sequence of str
        Groups of each split.

    Raises
    ------
    InputError
        If a group is not there, or is in two splits.

    Examples
    --------
    >>> named_groups(["a", "b", "c"], {"train": ["a"], "test": ["b"]})
    {'a': 'train', 'b': 'test'}
    """
    found: dict[str, str] = {}
    for split, names in lists.items():
        for name in names:
            if name not in groups:
                raise InputError(f"there is no group {name!r} for {split}; groups are {_listed(groups)}")
            if found.setdefault(name, split) != split:
                raise InputError(f"group {name!r} is in {found[name]} and in {split}; leave it in one")
    return found


def _listed(groups: Sequence[str], most: int = 12) -> str:
    names = sorted(set(groups))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
