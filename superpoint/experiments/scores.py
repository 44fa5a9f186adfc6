"""The numbers of a cell: their names for people, which way is better, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from superpoint.report.wording import NONE, duration_text, number_text

IOU = "iou_"
"""What the column of a class's IoU begins with."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number of a cell."""

    name: str
    """Of its column."""
    title: str
    meaning: str
    better: Literal["more", "less", "neither"] = "more"
    is_share: bool = True
    """Whether it is at most 1, and shown to three decimals."""
    least: float | None = 0.0
    """It can have; None where there is no such bound."""

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the most it can be.

        Examples
        --------
        >>> score_of("miou").bounds, score_of("kappa").bounds, score_of("seconds").bounds
        ((0.0, 1.0), (-1.0, 1.0), (0.0, None))
        """
        return self.least, 1.0 if self.is_share else None

    def text(self, value: float | None) -> str:
        """Return a value of it for people."""
        if value is None or value != value:  # noqa: PLR0124  # NaN
            return NONE
        if self.name == "seconds":
            return duration_text(value)
        return share_text(value) if self.is_share else number_text(value)


def share_text(value: float | None) -> str:
    """Return a share with three decimals: one seed differs from the next in the second.

    Examples
    --------
    >>> share_text(0.41234), share_text(1.0)
    ('0.412', '1.000')
    """
    return NONE if value is None else f"{value:.3f}"


def _share(name: str, title: str, meaning: str) -> Score:
    return Score(name=name, title=title, meaning=meaning)


def _count(name: str, title: str, meaning: str, better: Literal["less", "neither"] = "neither") -> Score:
    return Score(name=name, title=title, meaning=meaning, better=better, is_share=False)


SCORES = {
    score.name: score
    for score in (
        _share("miou", "mIoU", "mean over classes of intersection over union, of all test pixels together"),
        _share("micro_iou", "micro IoU", "intersection over union of all classes counted together"),
        _share("mean_f1", "mean F1", "mean over classes of F1 (Dice)"),
        _share("frequency_weighted_iou", "frequency-weighted IoU", "mean IoU weighted by true pixels"),
        Score(name="kappa", title="kappa", meaning="agreement beyond chance, Cohen's", least=-1.0),
        _share("pixel_accuracy", "pixel accuracy", "share of the test pixels that are right"),
        _share("boundary_miou", "boundary mIoU", "mean over classes of IoU along outlines"),
        _share("val_miou", "validation mIoU", "mIoU on the validation rasters, of the epoch that was kept"),
        _share("label_accuracy", "label accuracy", "share of the labelled training pixels whose label is true"),
        Score(
            name="coverage", title="coverage", meaning="share of the training pixels that have a label",
            better="neither",
        ),
        _count("train_loss", "training loss", "loss of the last epoch, not comparable between losses", "less"),
        _count("n_points", "points", "query points drawn, on all training rasters together"),
        _count("n_patches", "patches", "patches of an epoch"),
        _count("epochs", "epochs", "passes over the training patches, up to the last one"),
        _count(
            "seconds", "time",
            "seconds its stages took when they were done; a stage that cells share counts in each of them",
        ),
    )
}  # fmt: skip
"""Of every column that is no class's, by name."""


def score_of(name: str) -> Score:
    """Return what a column is.

    Examples
    --------
    >>> score_of("iou_road").title, score_of("miou").title
    ('IoU of road', 'mIoU')
    """
    if name.startswith(IOU):
        land_class = name.removeprefix(IOU)
        return _share(name, f"IoU of {land_class}", f"intersection over union of the class {land_class}")
    return SCORES.get(name) or Score(
        name=name, title=name.replace("_", " "), meaning="a column of results.parquet", better="neither",
        is_share=False, least=None,
    )  # fmt: skip
