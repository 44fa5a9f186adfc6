"""Attribute tables that contradict themselves: a column that says what the class is, and does not always agree.

A column *names the class* if knowing it leaves at most a fifth of the mistakes that are made by always guessing the
commonest class (Goodman and Kruskal's lambda of at least 0.8), it has at most twice as many values as there are
classes, and its values stand for at least half of the classes. Dates, places, people and numbers of rows do none of
that, or not all; and below ten rows anything can come about by chance.

References
----------
Goodman and Kruskal (1954), "Measures of association for cross classifications", Journal of the American Statistical
Association 49, section 5. https://doi.org/10.1080/01621459.1954.10501231
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MIN_ROWS = 10
MISTAKES_LEFT = 5  # one in so many: a lambda of 0.8
VALUES_PER_CLASS = 2


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """One value of a column that names the class, and goes with several classes."""

    file: str
    column: str
    value: str
    classes: dict[str, int]
    """Number of rows of each class, most first."""

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do."""
        rows = ", ".join(f"{name} in {n} rows" if n > 1 else f"{name} in 1 row" for name, n in self.classes.items())
        return (
            f"{self.file}: {self.column} names the class, but {self.column} {self.value} is {rows}; "
            f"correct one of the two columns"
        )


def names_the_class(counts: NDArray[np.int64]) -> bool:
    """Tell whether a column is another name of the class: see the module.

    Parameters
    ----------
    counts : int64 array of shape (values, classes)
        Rows of each value of the column and each class; every value and class has rows.

    Examples
    --------
    >>> names_the_class(np.array([[11, 0, 0], [0, 5, 0], [0, 1, 6]])), names_the_class(np.full((2, 2), 9))
    (True, False)
    """
    n_rows, (n_values, n_classes) = int(counts.sum()), counts.shape
    if n_rows < MIN_ROWS or not 2 <= n_values <= VALUES_PER_CLASS * n_classes or n_classes < 2:  # noqa: PLR2004  # one is no choice
        return False
    if len(np.unique(counts.argmax(axis=1))) * 2 < n_classes:
        return False
    mistakes_of_guessing = n_rows - int(counts.sum(axis=0).max())
    mistakes = n_rows - int(counts.max(axis=1).sum())
    return mistakes * MISTAKES_LEFT <= mistakes_of_guessing


def find_contradictions(
    file: str,
    column: str,
    values: NDArray[np.int32],
    value_names: Sequence[str],
    labels: NDArray[np.int32],
    names: Sequence[str],
) -> list[Contradiction]:
    """Find the values of a column that go with several classes, if the column names the class.

    Parameters
    ----------
    file, column : str
        What is said of it.
    values : int32 array of shape (rows,)
        The column, by places in `value_names`; -1 where it is empty.
    value_names : sequence of str
        Its values.
    labels : int32 array of shape (rows,)
        The class, by places in `names`; -1 where it is missing.
    names : sequence of str
        The classes.

    Returns
    -------
    list of Contradiction
        One for each such value, in the order of `value_names`.
    """
    both = (values >= 0) & (labels >= 0)
    keys = values[both].astype(np.int64) * len(names) + labels[both]
    counts = np.bincount(keys, minlength=len(value_names) * len(names)).reshape(len(value_names), len(names))
    there, used = np.flatnonzero(counts.any(axis=1)), np.flatnonzero(counts.any(axis=0))
    if not names_the_class(counts[np.ix_(there, used)]):
        return []
    several = np.flatnonzero(np.count_nonzero(counts, axis=1) > 1)
    return [
        Contradiction(file=file, column=column, value=value_names[value], classes=_most_first(counts[value], names))
        for value in several.tolist()
    ]


def _most_first(counts: NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    order = np.argsort(-counts, kind="stable")
    return {names[place]: int(counts[place]) for place in order.tolist() if counts[place]}
