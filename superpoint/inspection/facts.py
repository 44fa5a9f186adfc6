"""What there is to say of pseudo-masks: numbers alone, with the formula of each.

`docs/inspect.md` has the same definitions in one place. A share of nothing (0 / 0) is None. Pixels count if they have
data; where the truth is asked, if it is known there, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ClassFacts:
    """One class. What needs a truth, a label map or the account is None without."""

    pixels: int
    """Pixels labelled so."""
    frequency: float | None
    """Share of the labelled pixels: pi_c of the weighted masked MSE, if it is trained on these masks alone."""
    weight: float | None
    """1 / frequency, the factor of the class's channel in that loss; None for a class without a pixel, left out."""
    points: int | None = None
    """Points of this class that voted: used, or out-voted."""
    superpixels: int | None = None
    """Superpixels labelled so."""
    true_pixels: int | None = None
    """Pixels that truly are of it."""
    covered: float | None = None
    """Share of those that are labelled, rightly or not."""
    precision: float | None = None
    """Of the labelled pixels of known truth labelled so, the share that truly are of it."""
    recall: float | None = None
    """Of the labelled pixels that truly are of it, the share labelled so."""
    iou: float | None = None
    """On labelled pixels: both / either."""
    oracle_iou: float | None = None
    """IoU if every superpixel took its majority true class, on all pixels of known truth."""
    mixed: int | None = None
    """Pixels labelled so wrongly, where the label is the superpixel's majority true class."""
    wrong_vote: int | None = None
    """Pixels labelled so wrongly, where it is not, and the vote gave it."""
    filled_wrongly: int | None = None
    """Pixels labelled so wrongly, where it is not, and a step gave it."""
    wrong_superpixels: int | None = None
    """Superpixels labelled so by the vote of which most is of another class."""
    points_checked: int | None = None
    """Points of this class on pixels of known truth."""
    points_agreeing: int | None = None
    """Those of them whose class is the true one of their pixel."""


@dataclass(frozen=True, kw_only=True)
class SuperpixelFacts:
    """How many superpixels there are."""

    total: int
    with_points: int | None
    """With at least one vote; None where the votes are not found."""
    labelled: int
    """With a class."""
    single_vote: int | None
    """With exactly one vote, which nothing can contradict."""
    contested: int | None = None
    """With two opinions or more: rows of the points, of which a polygon is one; votes, where there is no account."""


@dataclass(frozen=True, kw_only=True)
class ConflictFacts:
    """How far votes disagree."""

    superpixels: int
    """With votes for more than one class."""
    share_of_superpixels: float | None
    """Of those with points."""
    share_of_contested: float | None
    """Of those with two opinions or more, where there can be a conflict."""
    votes: int
    """All votes."""
    outvoted: int
    """Votes for another class than the one their superpixel's vote gave."""
    share_of_votes: float | None
    """outvoted / votes."""
    mean_vote_share: float | None
    """Mean over superpixels with points of the leading class's share of their votes."""


@dataclass(frozen=True, kw_only=True)
class FlagFacts:
    """How much bears one flag of the evidence."""

    superpixels: int
    pixels: int


@dataclass(frozen=True, kw_only=True)
class PurityFacts:
    """How far superpixels are of one true class."""

    mean: float | None
    """Mean over pixels of the share of their superpixel's majority true class; the same as the oracle accuracy."""
    mean_of_superpixels: float | None
    """Mean over superpixels, each alike."""
    histogram: list[int]
    """Superpixels by purity, in 20 bins of 0.05 from 0 to 1; the last includes 1."""


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """The labels after the vote, or after one step that improved them."""

    stage: str
    """`vote`, or the step's name."""
    superpixels: int
    """Superpixels with a class."""
    coverage: float | None
    """Their pixels over all pixels with data."""
    accuracy: float | None
    """On labelled pixels of known truth."""
    gained: int
    """Superpixels that had no class before; 0 for the vote."""
    lost: int
    """Superpixels that had a class before and have none now."""
    changed: int
    """Superpixels that had another class before."""
    gained_accuracy: float | None
    """Accuracy on the pixels of those gained."""


@dataclass(frozen=True, kw_only=True)
class AnnotatorFacts:
    """One annotator, as far as the account goes."""

    rows: int
    """Rows that voted."""
    outvoted: int
    """Those of them whose superpixel went to another class."""
    share_outvoted: float | None
    """outvoted / rows."""
    checked: int | None = None
    """Rows that voted whose pixel is of known truth; None without a truth."""
    agreement: float | None = None
    """Of those, the share whose class is the true one there."""


@dataclass(frozen=True, kw_only=True)
class WorstSuperpixel:
    """A superpixel worth looking at."""

    raster: int
    """Place of its pseudo-mask in the list."""
    superpixel: int
    """Its id."""
    box: tuple[int, int, int, int]
    """First row, first col, last row, last col, inclusive."""
    pixels: int
    label: str
    """Its class."""
    votes: int
    share: float
    """Of the votes for the leading class."""
    true_class: str | None = None
    """Its majority true class."""
    purity: float | None = None
    """Share of its pixels of known truth that are of that class."""
    wrong_pixels: int | None = None
    """Pixels whose true class is not its label."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the numbers come to, by stated rules."""

    level: str
    """`good`, `check`, `poor`, or `unknown` where there is no truth and nothing speaks against it."""
    sentences: list[str]
    """First whether to trust it, then the main problem, then what to do next."""


@dataclass(frozen=True, kw_only=True)
class MaskFacts:
    """One of the pseudo-masks."""

    name: str
    path: str
    truth: str | None
    coverage: float | None
    labelled_superpixels: int | None
    points: int
    accuracy: float | None
    oracle_miou: float | None
    wrong_vote: float | None
    """Share of the pixels of known truth, as are the next two."""
    mixed: float | None
    filled_wrongly: float | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The numbers about one pseudo-mask, or about several pooled as if they were one."""

    coverage: float | None
    """n_labelled / n_data."""
    accuracy: float | None = None
    """Of the labelled pixels of known truth, the share whose class is the true one."""
    oracle_miou: float | None = None
    """mIoU, over all pixels of known truth, if every superpixel took its majority true class. The majority is the best
    for the accuracy; the mIoU of some other choice may be a little higher, and this is the bound in use."""
    per_class: dict[str, ClassFacts]
    """By name."""
    points: dict[str, int]
    """Points by state of the account; empty where there is no account."""
    verdict: Verdict = Verdict(level="unknown", sentences=[])
    n_pixels: int
    """Pixels of the rasters."""
    n_data: int
    """Pixels with data: those with a superpixel. Where the label map is not found, all pixels."""
    n_labelled: int
    """Pixels with a class."""
    miou: float | None = None
    """Mean IoU on the labelled pixels, over the classes that occur there."""
    reachable_accuracy: float | None = None
    """The accuracy if every labelled superpixel had its majority true class: no vote on these gives more."""
    oracle_accuracy: float | None = None
    """The accuracy if every superpixel took its majority true class (achievable segmentation accuracy)."""
    errors: dict[str, float | None] = field(default_factory=dict)
    """Shares of the pixels of known truth; the first five add up to 1. `correct`; `mixed`, wrong though the label is
    the superpixel's majority true class; `wrong_vote`, wrong and it is not, as the vote had it; `filled_wrongly`, the
    same as a step had it; `not_covered`, without a label; and `wrong`, the three wrong ones together."""
    error_pixels: dict[str, int | None] = field(default_factory=dict)
    """The same as numbers of pixels."""
    confusion: list[list[int]] = field(default_factory=list)
    """Pixels of known truth: rows truth, columns label, a last column for those without; empty without a truth."""
    purity: PurityFacts | None = None
    superpixels: SuperpixelFacts | None = None
    """None where a label map is not found, like all that follows from superpixels."""
    points_per_superpixel: list[int] = field(default_factory=list)
    """Superpixels with 0, 1, 2, ... votes; the last of 21 counts those with 20 and more."""
    vote_shares: list[int] = field(default_factory=list)
    """Superpixels with points by vote share, in 20 bins of 0.05 from 0 to 1; the last includes 1."""
    conflicts: ConflictFacts | None = None
    flags: dict[str, FlagFacts] = field(default_factory=dict)
    """By name of the flag."""
    class_frequencies: dict[str, float | None]
    """Share of each class among the labelled pixels."""
    point_agreement: float | None
    """Of the points on pixels of known truth, the share whose class is the true one there."""
    contradictions: list[str]
    """Rows of the points that contradict themselves, as the account says it."""
    annotators: dict[str, AnnotatorFacts] = field(default_factory=dict)
    """By name; empty where the account knows of none."""
    steps: list[StepFacts]
    """The vote, and every step after it; empty where the table of stages is not found."""
    worst: list[WorstSuperpixel] = field(default_factory=list)
    """With a truth those that cost most wrong pixels; without, those whose votes disagree over most pixels, then those
    whose votes each decide over most."""
    missing: list[str]
    """What cannot be said, and why."""
    pseudo_masks: list[MaskFacts] = field(default_factory=list)
    """Each by itself."""
    output: str | None = None
    """The page."""
