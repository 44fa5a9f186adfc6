"""What a person reads when a step is done: small tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from superpoint.pipelines.algorithms import Listed
    from superpoint.pipelines.compare import Compared
    from superpoint.pipelines.cut import Cut
    from superpoint.pipelines.demo import Demo
    from superpoint.pipelines.evaluate import Evaluation
    from superpoint.pipelines.label import PseudoMask
    from superpoint.pipelines.predict import Map
    from superpoint.pipelines.run import Run
    from superpoint.pipelines.superpixelize import LabelMap
    from superpoint.pipelines.train import Training
    from superpoint.pipelines.train_affinity import AffinityTraining


def of_label_maps(label_maps: Sequence[LabelMap]) -> RenderableType:
    """Summarize label maps."""
    return Group(*(_of_label_map(label_map) for label_map in label_maps))


def _of_label_map(label_map: LabelMap) -> RenderableType:
    rows, cols = label_map.shape
    kept = label_map.n_tiles - label_map.n_computed
    return _facts(
        "label map",
        {
            "raster": f"{label_map.raster} ({cols} x {rows})",
            "superpixels": f"{label_map.n_superpixels:,}",
            "tiles": f"{label_map.n_computed} computed, {kept} already in the cache",
            "seconds": f"{label_map.seconds:.1f}",
            "zarr": label_map.path,
            "COG": label_map.output,
        },
    )


def of_algorithms(listed: Sequence[Listed]) -> RenderableType:
    """Summarize the superpixel algorithms: a row an algorithm, and how to install what is not there."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("name", "bands", "nodata", "ids", "licence", "installed"):
        table.add_column(heading, no_wrap=True)
    for one in listed:
        installed = one.package_version or "yes" if one.installed else "no"
        table.add_row(one.name, one.bands, one.nodata, one.ids, one.licence, installed)
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    missing = [Text(f"{one.name}: {one.install}") for one in listed if not one.installed]
    return Group(table, *missing, "parameters and their defaults: superpoint algorithms --json")


def of_comparison(compared: Mapping[str, Compared]) -> RenderableType:
    """Summarize a comparison: a column an algorithm, what nothing is known of left out."""
    first = next(iter(compared.values()))
    table = Table(box=box.SIMPLE_HEAD, title=f"{first.raster}: {_size(first)}", title_justify="left")
    table.add_column("")
    for name in compared:
        table.add_column(name, justify="right", no_wrap=True)
    for heading, cell in _COMPARISON.items():
        cells = [cell(one) for one in compared.values()]
        if any(text != "-" for text in cells):
            table.add_row(heading, *cells)
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    return Group(table, f"{_COMPARISON_KEY}\nthe boundaries are drawn in {first.picture}")


def _size(one: Compared) -> str:
    rows, cols = one.shape
    return f"{cols} x {rows} pixels, region size {one.region_size:.4g}, tiles of {one.tile}"


def _seams(one: Compared, which: str) -> str:
    ratios = (one.seam_ratio or {}).get(which, {}).values()
    return ", ".join("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios) or "-"


_COMPARISON: dict[str, Callable[[Compared], str]] = {
    "Mpx/s, one core": lambda one: f"{one.mpx_per_s:.3g}",
    "first call, s more": lambda one: f"{one.compile_s:.1f}",
    "peak bytes/px": lambda one: "-" if one.peak_bytes_per_px is None else f"{one.peak_bytes_per_px:.0f}",
    "superpixels": lambda one: f"{one.n_superpixels:,}",
    "disconnected": lambda one: f"{one.disconnected:,}",
    "ASA": lambda one: _score(one.asa),
    "boundary recall": lambda one: _score(one.boundary_recall),
    "undersegmentation": lambda one: _score(one.undersegmentation),
    "  by Levinshtein": lambda one: _score(one.undersegmentation_levin),
    "explained variation": lambda one: _score(one.explained_variation),
    "compactness": lambda one: _score(one.compactness),
    "seam ratio, tiled": lambda one: _seams(one, "tiled"),
    "  untiled": lambda one: _seams(one, "untiled"),
    "identical": lambda one: "-" if one.identical is None else f"{one.identical:.4%}",
}
_COMPARISON_KEY = "higher is better, but for first call, bytes, undersegmentation; a seam ratio is best as untiled"


def of_cuts(cuts: Sequence[Cut]) -> RenderableType:
    """Summarize cuts of hierarchies."""
    return Group(*(_of_cut(made) for made in cuts))


def _of_cut(made: Cut) -> RenderableType:
    rows, cols = made.shape
    return _facts(
        "hierarchy",
        {
            "raster": f"{made.raster} ({cols} x {rows})",
            "superpixels": ", ".join(f"{number:,}" for number in made.levels),
            "merges": "already in the cache" if made.from_cache else "computed",
            "seconds": f"{made.seconds:.1f}",
            "zarr": made.path,
            "COG": made.output,
        },
    )


def of_pseudo_masks(masks: Sequence[PseudoMask]) -> RenderableType:
    """Summarize pseudo-masks."""
    return Group(*(_of_pseudo_mask(mask) for mask in masks))


def _of_pseudo_mask(mask: PseudoMask) -> RenderableType:
    account = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in mask.points.items() if count)
    shares = ", ".join(f"{name} {count:,}" for name, count in mask.class_pixels.items())
    return _facts(
        "pseudo-mask",
        {
            "raster": mask.raster,
            "points": f"{sum(mask.points.values()):,}: {account}",
            "superpixels": f"{mask.label_map.n_superpixels:,}",
            "coverage": f"{mask.coverage:.1%} of the pixels with data are labelled",
            "class pixels": shares,
            "seconds": f"{mask.seconds:.1f}",
            "zarr": mask.path,
            "COG": mask.output,
        },
    )


def of_training(training: Training) -> RenderableType:
    """Summarize a training."""
    last = training.history[-1] if training.history else {}
    return _facts(
        "training",
        {
            "patches": f"{training.n_patches:,} with labels",
            "class frequencies": ", ".join(f"{n} {share:.3f}" for n, share in training.class_frequencies.items()),
            "epochs": str(int(last.get("epoch", 0))),
            "last": ", ".join(f"{name} {last[name]:.4f}" for name in ("train_loss", "val_miou") if name in last),
            "seconds": f"{training.seconds:.1f}",
            "checkpoint": training.checkpoint,
        },
    )


def of_affinity_training(training: AffinityTraining) -> RenderableType:
    """Summarize an affinity training."""
    kept = training.history[training.epoch - 1]
    return _facts(
        "affinity training",
        {
            "network": f"{training.n_parameters:,} parameters",
            "patches": f"{training.n_patches:,} an epoch",
            "epochs": f"{len(training.history)}, kept {training.epoch}",
            "kept": ", ".join(f"{name} {kept[name]:.4f}" for name in ("train_loss", "val_loss") if name in kept),
            "seconds": f"{training.seconds:.1f}",
            "weights": training.weights,
        },
    )


def of_maps(maps: Sequence[Map]) -> RenderableType:
    """Summarize maps."""
    return Group(
        *(
            _facts(
                "map",
                {
                    "raster": made.raster,
                    "class pixels": ", ".join(f"{name} {count:,}" for name, count in made.class_pixels.items()),
                    "seconds": f"{made.seconds:.1f}",
                    "COG": made.output,
                },
            )
            for made in maps
        )
    )


def of_evaluation(evaluation: Evaluation) -> RenderableType:
    """Summarize an evaluation: a row a class."""
    table = Table(box=box.SIMPLE_HEAD, title=f"mIoU {_score(evaluation.miou)}", title_justify="left")
    for heading in ("class", "IoU", "precision", "recall", "F1", "true pixels"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, scores in evaluation.classes.items():
        numbers = [_score(scores[key]) for key in ("iou", "precision", "recall", "f1")]
        table.add_row(name, *numbers, f"{scores['n_pixels']:,}")
    footer = (
        f"pixel accuracy {_score(evaluation.pixel_accuracy)} over {evaluation.n_pixels:,} pixels that the truth labels"
    )
    return Group(table, footer)


def of_run(result: Run) -> RenderableType:
    """Summarize a run: what each of its steps says."""
    parts: list[RenderableType] = []
    if result.superpixelize:
        parts.append(of_label_maps(result.superpixelize))
    if result.label:
        parts.append(of_pseudo_masks(result.label))
    if result.train:
        parts.append(of_training(result.train))
    if result.predict:
        parts.append(of_maps(result.predict))
    if result.evaluate:
        parts.append(of_evaluation(result.evaluate))
    return Group(*parts, f"everything is in {result.out} ({result.seconds:.1f} s); settings and results in run.json")


def of_demo(result: Demo) -> RenderableType:
    """Summarize the demo: what few points gave, beside what all the truth gives."""
    head = _facts(
        "demo",
        {
            "points": f"{result.n_points} in {result.n_superpixels:,} superpixels",
            "coverage": f"{result.coverage:.1%} of the pixels are labelled",
            "pseudo-mask accuracy": f"{result.accuracy:.1%} of those are right",
        },
    )
    table = Table(box=box.SIMPLE_HEAD, title="IoU on a scene that was not trained on", title_justify="left")
    table.add_column("class")
    table.add_column(f"{result.n_points} points", justify="right")
    table.add_column("full masks", justify="right")
    for name, scores in result.iou.items():
        table.add_row(name, _score(scores["weak"]), _score(scores["full"]))
    table.add_section()
    table.add_row("mIoU", _score(result.miou_weak), _score(result.miou_full), style="bold")
    last = f"{result.seconds:.0f} s; look at {result.files['overview']}, and open the maps in {result.out} with QGIS"
    return Group(head, table, last)


def _facts(title: str, facts: Mapping[str, str | None]) -> RenderableType:
    """Put each fact on a line of its own, unwrapped, so that paths can be copied."""
    present = {name: fact for name, fact in facts.items() if fact}
    width = max(map(len, present), default=0)
    lines = [Text.assemble((name.ljust(width), "dim"), "  ", fact) for name, fact in present.items()]
    return Group(Text(title, style="bold"), *lines)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
