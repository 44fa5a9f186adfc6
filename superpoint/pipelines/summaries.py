"""What a person reads when a step is done: small tables for the terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from superpoint.pipelines.progress import in_words
from superpoint.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from superpoint.cache.damage import Checked
    from superpoint.inspection.facts import Inspection
    from superpoint.pipelines.algorithms import Listed
    from superpoint.pipelines.cacheexport import Export
    from superpoint.pipelines.cachefacts import Info, TileSums
    from superpoint.pipelines.care import Collection, Listing
    from superpoint.pipelines.compare import Compared
    from superpoint.pipelines.cut import Cut
    from superpoint.pipelines.demo import Demo
    from superpoint.pipelines.evaluate import Evaluation, RasterScores
    from superpoint.pipelines.experiment import Experiment
    from superpoint.pipelines.experimentreport import ExperimentReport as ExperimentPages
    from superpoint.pipelines.experiments.estimate import TimeEstimate
    from superpoint.pipelines.export import ExportedNetwork
    from superpoint.pipelines.forecast import Forecast
    from superpoint.pipelines.label import PseudoMask
    from superpoint.pipelines.predict import Map
    from superpoint.pipelines.report import Report
    from superpoint.pipelines.retry import Retried
    from superpoint.pipelines.run import Run
    from superpoint.pipelines.sample import SampledMask, SampledPoints
    from superpoint.pipelines.split import DatasetSplit, SplitPart
    from superpoint.pipelines.status import Status
    from superpoint.pipelines.suggest import Suggestions
    from superpoint.pipelines.superpixelize import LabelMap
    from superpoint.pipelines.train import Training
    from superpoint.pipelines.train_affinity import AffinityTraining


SHORT_DIGEST = 12
FEW = 4  # label maps that are told of in full
MOST_ROWS = 200
MOST_CLICKS = 20


def of_label_maps(label_maps: Sequence[LabelMap]) -> RenderableType:
    """Summarize label maps: in full, or a row each where there are many."""
    if len(label_maps) > FEW:
        return _table_of(label_maps)
    return Group(*(_of_label_map(label_map) for label_map in label_maps))


def _table_of(label_maps: Sequence[LabelMap]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, title=f"{len(label_maps):,} label maps", title_justify="left")
    for heading in ("raster", "pixels", "superpixels", "tiles computed", "seconds"):
        table.add_column(heading, justify="left" if heading == "raster" else "right", no_wrap=True)
    for made in label_maps[:MOST_ROWS]:
        rows, cols = made.shape
        numbers = f"{made.n_superpixels:,}", f"{made.n_computed} of {made.n_tiles}", f"{made.seconds:.1f}"
        table.add_row(made.raster, f"{cols} x {rows}", *numbers)
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    more = len(label_maps) - MOST_ROWS
    return Group(table, f"and {more:,} more; all are in rasters.parquet of the run") if more > 0 else table


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


def of_forecast(found: Forecast) -> RenderableType:
    """Summarize what a run would do."""
    speed = found.sample_mpx_per_s
    threads = "1 thread" if found.n_threads == 1 else f"{found.n_threads} threads"
    todo = found.n_tiles - found.n_tiles_done
    rows = {
        "rasters": f"{found.n_rasters:,}" + (f", {len(found.problems)} would be quarantined" if found.problems else ""),
        "tiles": f"{found.n_tiles:,}: {found.n_tiles_done:,} done already, {todo:,} to compute",
        "pixels": f"{found.megapixels:,.1f} Mpx to compute",
        "to read": f"{_size_of(found.bytes_to_read)}, decoded",
        "to write": f"{_size_of(found.bytes_to_write)}, compressed",
        "memory": f"{_size_of(found.worker_bytes)} a worker, at its peak",
        "time": f"about {_duration(found.seconds)} on {threads} ({speed:.1f} Mpx/s each, by one tile)"
        if speed
        else None,
    }
    problems = [
        Text(reason if raster in reason else f"{raster}: {reason}", style="yellow") for raster, reason in found.problems
    ]
    return Group(_facts("dry run, nothing was written", rows), *problems)


def of_status(found: Status) -> RenderableType:
    """Summarize how far a run is."""
    progress = found.progress
    rows = {
        "command": found.command,
        "state": found.state,
        "started": found.started,
        "ended": found.ended,
        "heard of": progress.updated if progress and not found.ended else None,
        "rasters": f"{found.done:,} of {found.n_rasters:,} done, {len(found.quarantined)} quarantined",
        "progress": in_words(replace(progress, eta_seconds=None) if found.ended else progress) if progress else None,
        "folder": found.folder,
    }
    lines = [Text(f"quarantined: {row.sentence}", style="yellow") for row in found.quarantined]
    again = found.state in ("quarantined", "stopped", "failed", "silent")
    hint = [f"try again with: superpoint retry {found.run}"] if again else []
    return Group(_facts(f"run {found.run}", rows), *lines, *hint)


def of_retry(tried: Retried) -> RenderableType:
    """Summarize what a run made when it was tried again."""
    return Group(of_pseudo_masks(tried.pseudo_masks), of_label_maps(tried.label_maps))


def of_report(written: Report | ExperimentPages) -> RenderableType:
    """Summarize a report: where it is, and what it says first."""
    from superpoint.pipelines.experimentreport import ExperimentReport

    if isinstance(written, ExperimentReport):
        state = f"{written.n_done:,} of {written.n_cells:,} cells done, {written.n_failed:,} failed"
        lines = [*written.verdicts, f"report of {written.title} ({state}): {written.output}"]
        return Group(*map(Text, lines))
    return f"report of run {written.run}: {written.output}"


def _size_of(n_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:  # noqa: PLR2004  # of the next unit
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.3g} TiB"


def _duration(seconds: float | None) -> str:
    return str(timedelta(seconds=round(seconds or 0)))


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
    """Summarize pseudo-masks: each in full, or a row each where there are many; and what became of the points."""
    if not masks:
        return Group()
    each = [_table_of_masks(masks)] if len(masks) > FEW else [_of_pseudo_mask(mask) for mask in masks]
    hint = f"look at it before training on it: superpoint inspect {masks[0].path}"
    return Group(*each, _of_account(masks[0]), f"every row with its reason: {masks[0].account}", hint)


def _of_pseudo_mask(mask: PseudoMask) -> RenderableType:
    shares = ", ".join(f"{name} {count:,}" for name, count in mask.class_pixels.items())
    return _facts(
        "pseudo-mask",
        {
            "raster": mask.raster,
            "points": f"{sum(mask.points.values()) - mask.points['outside']:,} on it, {mask.points['used']:,} used",
            "superpixels": f"{mask.label_map.n_superpixels:,}",
            "coverage": f"{mask.coverage:.1%} of the pixels with data are labelled",
            "class pixels": shares,
            "steps": _steps_of(mask),
            "seconds": f"{mask.seconds:.1f}",
            "zarr": mask.path,
            "COG": mask.output,
        },
    )


def _steps_of(mask: PseudoMask) -> str | None:
    """Say what each step did to how many superpixels; nothing if only the vote decided."""
    lines = [
        f"{one.name}: {one.n_labelled:,} labelled ({one.n_gained:,} gained, {one.n_lost:,} lost, "
        f"{one.n_changed:,} changed)"
        for one in mask.steps[1:]
    ]
    return "; ".join([f"vote: {mask.steps[0].n_labelled:,} superpixels labelled", *lines]) if lines else None


def _table_of_masks(masks: Sequence[PseudoMask]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, title=f"{len(masks):,} pseudo-masks", title_justify="left")
    for heading in ("raster", "points on it", "used", "coverage", "tiles computed", "seconds"):
        table.add_column(heading, justify="left" if heading == "raster" else "right", no_wrap=True)
    for made in masks[:MOST_ROWS]:
        n_here = sum(made.points.values()) - made.points["outside"]
        tiles = f"{made.n_computed} of {made.n_tiles}"
        numbers = f"{n_here:,}", f"{made.points['used']:,}", f"{made.coverage:.1%}", tiles, f"{made.seconds:.1f}"
        table.add_row(made.raster, *numbers)
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    more = len(masks) - MOST_ROWS
    return Group(table, f"and {more:,} more") if more > 0 else table


_STATES = {
    "used": "voted, and the vote of its superpixel went to its class",
    "too_weak": "voted, but the superpixel has too few votes or too small a share for one class",
    "conflicting": "voted, and the vote went to another class, or to none as a tie",
    "duplicate": "in the same pixel, of the same class and annotator as an earlier one",
    "on_nodata": "where the raster has no data",
    "unreadable_class": "its class is missing, ignored, or not in the class table",
    "outside": "on none of the rasters",
    "no_place": "without a geometry or coordinates that are numbers",
}


def _of_account(mask: PseudoMask) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, title=f"{sum(mask.all_points.values()):,} rows of points", title_justify="left")
    table.add_column("what became of them", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for state, count in mask.all_points.items():
        if count:
            table.add_row(state.replace("_", " "), f"{count:,}", _STATES[state])
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    return table


def of_training(training: Training) -> RenderableType:
    """Summarize a training."""
    last = training.history[-1] if training.history else {}
    return _facts(
        "training",
        {
            "patches": f"{training.n_patches:,} with labels",
            "class frequencies": ", ".join(f"{n} {share:.3f}" for n, share in training.class_frequencies.items()),
            "epochs": str(int(last.get("epoch", 0))),
            "last": ", ".join(
                f"{name} {last[name]:.4f}" for name in ("train_loss", "val_loss", "val_miou") if name in last
            ),
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
                    "superpixels": made.label_map,
                    "seconds": "was there already" if made.kept else f"{made.seconds:.1f}",
                    "COG": made.output,
                    "probabilities": made.probabilities,
                    "item": made.item,
                },
            )
            for made in maps
        )
    )


_REASONS = {
    "mixed": "superpixel mixes classes",
    "wrong_vote": "vote was wrong",
    "filled_wrongly": "filled wrongly by a step",
}


def of_inspection(found: Inspection) -> RenderableType:
    """Summarize an inspection: what it comes to, the numbers behind it, a row a class, and where the page is."""
    pixels = found.error_pixels
    n_labelled = (pixels.get("correct") or 0) + (pixels.get("wrong") or 0)
    wrong = {kind: (pixels.get(kind) or 0) / n_labelled if n_labelled else None for kind in _REASONS}
    shares = {
        "coverage (of all pixels)": found.coverage,
        "right (of labelled)": found.accuracy,
        "mIoU (of labelled)": found.miou,
        "right at best (of labelled)": found.reachable_accuracy,
        **{f"{words} (of labelled)": wrong[kind] for kind, words in _REASONS.items() if pixels.get(kind) is not None},
        "oracle mIoU (of all pixels)": found.oracle_miou,
    }
    shown = {name: None if share is None else f"{share:.1%}" for name, share in shares.items()}
    table = Table(box=box.SIMPLE_HEAD)
    has_truth = found.accuracy is not None
    scored = [f"{score} of\nlabelled" for score in ("precision", "recall", "IoU")] if has_truth else []
    for heading in ("class", "labelled\npixels", "super-\npixels", "votes", *scored):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, one in found.per_class.items():
        counts = ["-" if n is None else f"{n:,}" for n in (one.pixels, one.superpixels, one.points)]
        table.add_row(name, *counts, *(map(_score, (one.precision, one.recall, one.iou)) if has_truth else ()))
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    first, *others = found.verdict.sentences
    words = [Text(first, style="bold"), *map(Text, others)]
    gaps = [Text(sentence, style="yellow") for sentence in found.missing]
    return Group(*words, _facts("pseudo-mask", shown | {"page": found.output}), table, *gaps)


def of_evaluation(evaluation: Evaluation) -> RenderableType:
    """Summarize an evaluation: a row a class, what the means are, and a row a map where there are several."""
    found = evaluation.intervals
    table = Table(box=box.SIMPLE_HEAD, title=f"mIoU {_score(evaluation.miou)}", title_justify="left")
    for heading in ("class", "IoU", *([f"{found.level:.0%}"] if found else []), "precision", "recall", "F1"):
        table.add_column(heading, justify="left" if heading == "class" else "right", no_wrap=True)
    table.add_column("boundary IoU", justify="right", no_wrap=True)
    table.add_column("true pixels", justify="right", no_wrap=True)
    for name, scores in evaluation.classes.items():
        numbers = [_score(scores[key]) for key in ("iou", "precision", "recall", "f1")]
        if found:
            numbers.insert(1, _interval(found.classes[name]["iou"]))
        table.add_row(name, *numbers, _score(scores.get("boundary_iou")), f"{scores['n_pixels']:,}")
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    each = [_table_of_scores(evaluation.rasters)] if len(evaluation.rasters) > 1 else []
    return Group(table, _means_of(evaluation), *each)


_MEANS = {
    "miou": "mIoU",
    "boundary_miou": "boundary mIoU",
    "micro_iou": "micro IoU",
    "mean_f1": "mean F1",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "kappa": "kappa",
    "pixel_accuracy": "pixel accuracy",
}


def _means_of(evaluation: Evaluation) -> RenderableType:
    found = evaluation.intervals
    between = "no intervals: they come from resampling rasters, and there is one"
    if found:
        between = f"{found.level:.0%} of {found.n_resamples:,} resamples of the {found.n_rasters:,} rasters"
    elif len(evaluation.rasters) > 1:
        between = ""
    widths = sorted({one.boundary_width_px for one in evaluation.rasters})
    width = f"{widths[0]} px" if widths[:1] == widths[-1:] else f"{widths[0]} to {widths[-1]} px"
    means = {
        words: _score(getattr(evaluation, name)) + (f"  ({_interval(found.means[name])})" if found else "")
        for name, words in _MEANS.items()
    }
    error_maps = [one.error_map for one in evaluation.rasters if one.error_map]
    return _facts(
        "over all classes",
        {
            **means,
            "pixels": f"{evaluation.n_pixels:,} that the truth labels",
            "boundary width": width if widths and widths[-1] else None,
            "intervals": between,
            "error map": error_maps[0] if len(error_maps) == 1 else None,
            "error maps": f"{len(error_maps):,}, first {error_maps[0]}" if len(error_maps) > 1 else None,
        },
    )


def _table_of_scores(rasters: Sequence[RasterScores]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, title=f"{len(rasters):,} maps", title_justify="left")
    for heading in ("map", "mIoU", "boundary mIoU", "micro IoU", "pixel accuracy", "true pixels"):
        table.add_column(heading, justify="left" if heading == "map" else "right", no_wrap=True)
    for one in rasters[:MOST_ROWS]:
        scores = one.miou, one.boundary_miou, one.micro_iou, one.pixel_accuracy
        table.add_row(one.map, *map(_score, scores), f"{one.n_pixels:,}")
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    more = len(rasters) - MOST_ROWS
    return Group(table, f"and {more:,} more; all are in the JSON") if more > 0 else table


def _interval(ends: tuple[float, float] | None) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "-"


def of_exported_network(made: ExportedNetwork) -> RenderableType:
    """Summarize a network as a file."""
    difference = None if made.largest_difference is None else f"{made.largest_difference:.1e} at most from PyTorch's"
    return _facts(
        "exported network",
        {
            "file": f"{made.output} ({_size_of(made.n_bytes)})",
            "JSON": made.description,
            "parameters": f"{made.n_parameters:,}",
            "operators": None if made.opset is None else f"ONNX opset {made.opset}",
            "input": " x ".join(map(str, made.input_shape or [])) or None,
            "probabilities": difference,
            "seconds": f"{made.seconds:.1f}",
        },
    )


def of_run(result: Run) -> RenderableType:
    """Summarize a run: what each of its steps says."""
    parts: list[RenderableType] = []
    if result.split:
        parts.append(of_split(result.split))
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


def of_experiment(result: Experiment) -> RenderableType:
    """Summarize a grid: its verdicts, and where they come from."""
    state = f"{result.n_done} of {result.n_cells} cells done"
    failed = [Text(f"{result.n_failed} cells failed", style="yellow")] if result.n_failed else []
    return Group(
        *result.verdicts,
        *failed,
        _facts(
            result.title,
            {
                "cells": f"{state}, {result.n_trainings} trainings ({timedelta(seconds=round(result.seconds))})",
                "table": result.table,
                "page": result.report,
            },
        ),
    )


def of_estimate(found: TimeEstimate) -> RenderableType:
    """Summarize what a grid would take."""
    networks = [
        f"{one['model']} {one['encoder']}, {one['batch_size']} patches of {one['patch']} pixels on {one['device']}: "
        f"{one['step_seconds']:.2f} s a step"
        for one in found.networks
    ]
    parts = {
        "labels": f"{found.n_labels} sets: {timedelta(seconds=round(found.label_seconds))}",
        "trainings": f"{found.n_trainings}: {timedelta(seconds=round(found.train_seconds))}",
        "maps": str(timedelta(seconds=round(found.predict_seconds))),
        "in all": f"{timedelta(seconds=round(found.seconds))} with {found.n_workers} at a time, at most",
    }
    done = f"{found.n_done} of {found.n_cells} cells are done already; " if found.n_done else f"{found.n_cells} cells; "
    problems = [Text(f"will fail: {problem}", style="yellow") for problem in dict.fromkeys(found.problems)]
    return Group(_facts(f"{done}left to do", parts), *networks, *problems)


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
    last = (
        f"{result.seconds:.0f} s; look at {result.files['overview']} and {result.files['inspection']}, and open the "
        f"maps in {result.out} with QGIS"
    )
    return Group(head, table, last)


def _facts(title: str, facts: Mapping[str, str | None]) -> RenderableType:
    """Put each fact on a line of its own, unwrapped, so that paths can be copied."""
    present = {name: fact for name, fact in facts.items() if fact}
    width = max(map(len, present), default=0)
    lines = [Text.assemble((name.ljust(width), "dim"), "  ", fact) for name, fact in present.items()]
    return Group(Text(title, style="bold"), *lines)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def of_split(made: DatasetSplit) -> RenderableType:
    """Summarize a division of rasters: a row a split."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("split", "rasters", "groups", "which"):
        table.add_column(heading, justify="right" if heading in ("rasters", "groups") else "left")
    for name in SPLITS:
        part: SplitPart = getattr(made, name)
        which = ", ".join(part.groups[:MOST_ROWS]) if len(part.groups) < len(part.rasters) else ""
        table.add_row(name, f"{len(part.rasters):,}", f"{len(part.groups):,}", which)
    left = [Text(f"{made.n_left_out:,} rasters are of no split", style="yellow")] if made.n_left_out else []
    return Group(table, *left, made.output)


def of_sampled_points(sampled: SampledPoints) -> RenderableType:
    """Summarize simulated points: a row a mask, with what could not be drawn."""
    table = Table(box=box.SIMPLE_HEAD, title=f"points by strategy {sampled.strategy}", title_justify="left")
    for heading in ("raster", "points", "labelled pixels", "points of each class"):
        table.add_column(heading, justify="right" if heading in ("points", "labelled pixels") else "left")
    for mask in sampled.masks[:MOST_ROWS]:
        classes = ", ".join(f"{name} {count:,}" for name, count in mask.class_points.items())
        table.add_row(mask.raster, f"{mask.n_points:,}", f"{mask.n_labelled:,}", classes)
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    short = [Text(sentence, style="yellow") for mask in sampled.masks for sentence in _shortages(mask, sampled)]
    wrong = f", {sampled.n_wrong:,} of them with a wrong class" if sampled.n_wrong else ""
    short += [
        Text(f"class {name} got no point; the masks have {count:,} pixels of it", style="yellow")
        for name, count in sampled.without_point.items()
    ]
    made = f"{sampled.n_points:,} points, {sampled.n_rows:,} rows{wrong}: {sampled.output}"
    return Group(table, *short, made, *([f"label with: {sampled.command}"] if sampled.command else []))


def _shortages(mask: SampledMask, sampled: SampledPoints) -> list[str]:
    of_patches = sampled.strategy == "per-patch"
    rest = "its rest went to the others" if sampled.parameters.get("short") == "share" else "its rest went to none"
    sentences = [
        f"{mask.raster}: {got:,} of {asked:,} patches have too few labelled pixels and gave all they have"
        if of_patches
        else f"{mask.raster}: class {name} has {got:,} labelled pixels for {asked:,} points; {rest}"
        for name, (got, asked) in mask.short.items()
    ]
    return sentences + ([f"{mask.raster}: {mask.n_missing:,} points fewer than asked for"] if mask.n_missing else [])


def of_suggestions(made: Suggestions) -> RenderableType:
    """Summarize suggested points: a row each."""
    table = Table(box=box.SIMPLE_HEAD, title=f"to label next, by {made.strategy}", title_justify="left")
    for heading in ("rank", "superpixel", "score", "pixels", "row", "col"):
        table.add_column(heading, justify="right")
    for one in made.suggestions[:MOST_CLICKS]:
        score = "-" if one.score is None else f"{one.score:.4g}"
        table.add_row(str(one.rank), str(one.superpixel), score, f"{one.pixels:,}", str(one.row), str(one.col))
    n = len(made.suggestions)
    more = [f"and {n - MOST_CLICKS:,} more"] if n > MOST_CLICKS else []
    short = f" of {made.n_asked:,}" if n < made.n_asked else ""
    facts = [
        f"{n:,}{short} points to label{f': there are no more of {made.min_area:,} pixels or more' if short else ''}",
        f"coverage gained: {made.n_pixels:,} pixels, {made.coverage_gained:.2%} of the label map's",
        f"{made.n_labelled:,} of {made.n_superpixels:,} superpixels have a point already",
        f"{made.n_too_small:,} others are smaller than {made.min_area:,} pixels and left out"
        if made.n_too_small
        else "",
        f"{made.output}: fill in the column class and give it to label",
    ]
    return Group(table, *more, *filter(None, facts))


def of_cache_listing(listing: Listing) -> RenderableType:
    """Summarize what a cache holds: a row a result, and what all come to."""
    table = Table(box=box.SIMPLE_HEAD, title=listing.cache, title_justify="left")
    for heading in ("kind", "raster", "algorithm", "tiles", "size", "written", "digest"):
        table.add_column(heading, justify="right" if heading in ("tiles", "size") else "left", no_wrap=True)
    for kept in listing.kept:
        tiles = f"{kept.n_done}/{kept.n_tiles}" if kept.n_tiles else "-"
        failed = f", {kept.n_failed} failed" if kept.n_failed else ""
        algorithm = " ".join((kept.algorithm or "?", *(f"{name}={value}" for name, value in kept.parameters.items())))
        digest = kept.key.rpartition("-")[2][:SHORT_DIGEST]
        table.add_row(
            kept.kind, kept.raster, algorithm, tiles + failed, _size_of(kept.n_bytes), _when(kept.written), digest
        )
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    totals = [f"{n:,} {kind} {_size_of(n_bytes)}" for kind, (n, n_bytes) in listing.totals.items()]
    sums = f"{', '.join(totals) or 'nothing'}; {_size_of(listing.n_bytes)} in all"
    return Group(table, sums) if listing.kept else Group(listing.cache, sums)


def of_cache_info(info: Info) -> RenderableType:
    """Summarize one result."""
    rows, cols = info.shape or (0, 0)
    a, b, _, d, e, _ = info.transform or (0.0,) * 6
    arrays = {
        f"array {array.name}": f"{array.dtype} {' x '.join(map(str, array.shape))}, chunks "
        f"{' x '.join(map(str, array.chunks))}{_shards(array.shards)}, {' '.join(array.codecs)}, "
        f"{_size_of(array.n_bytes)}, {array.bits_per_value or 0:.3f} bits a value"
        for array in info.arrays
    }
    parts = ", ".join(f"{name} {_size_of(n_bytes)}" for name, n_bytes in info.parts.items())
    facts = {
        "zarr" if info.arrays else "path": info.path,
        "objects": f"{info.n_objects:,}, {_size_of(info.n_bytes)}, last written {_when(info.written)}",
        "grid": f"{cols} x {rows} pixels of {abs(complex(a, d)):.6g} x {abs(complex(b, e)):.6g}" if rows else None,
        "crs": info.crs and " ".join(info.crs.split())[:100],
        **arrays,
        **(_ledger_facts(info.tiles) if info.tiles else {}),
        "parts": parts or None,
        "item": info.item,
        "account": info.account,
    }
    provenance = json.dumps(info.provenance, indent=1, ensure_ascii=False)
    failed = [Text(f"tile {tile} failed: {reason}") for tile, reason in (info.tiles.failed if info.tiles else ())]
    return Group(_facts(info.kind, facts), *failed, Text("provenance", style="bold"), Text(provenance))


def _ledger_facts(tiles: TileSums) -> dict[str, str | None]:
    left = tiles.n_tiles - tiles.n_done - tiles.n_failed
    return {
        "tiles": f"{tiles.n_done} done, {tiles.n_failed} failed, {left} to do, of {tiles.n_tiles}",
        "superpixels": f"{tiles.n_superpixels:,}" if tiles.n_superpixels else None,
        "computed in": f"{tiles.seconds:.1f} s, {tiles.n_attempts} attempts",
        "hosts": _counts(tiles.hosts),
        "runs": _counts(tiles.runs),
    }


def _counts(counts: Mapping[str, int]) -> str | None:
    named = [f"{name or 'unknown'} ({count} tiles)" for name, count in list(counts.items())[:FEW]]
    return ", ".join(named) + (f" and {len(counts) - FEW} more" if len(counts) > FEW else "") or None


def _shards(shards: tuple[int, ...] | None) -> str:
    return f" in shards of {' x '.join(map(str, shards))}" if shards else ""


def of_cache_checks(checked: Sequence[Checked]) -> RenderableType:
    """Summarize what reading a cache found: a sentence for each damage, and the sums."""
    lines: list[RenderableType] = []
    for one in checked:
        if one.damages or one.unknown:
            lines.append(Text(one.path, style="bold"))
            lines += [Text(f"  {damage}") for damage in one.damages]
        if one.unknown:
            lines.append(Text(f"  {len(one.unknown)} chunks of tiles that are not done, first {one.unknown[0]}"))
    n_damages, n_done = sum(len(one.damages) for one in checked), sum(one.n_done for one in checked)
    n_failed, n_bytes = sum(one.n_failed for one in checked), sum(one.n_bytes for one in checked)
    failed = f", {n_failed:,} failed when they were computed" if n_failed else ""
    sums = f"{len(checked):,} results, {n_done:,} tiles intact{failed}, {_size_of(n_bytes)} read, {n_damages} damaged"
    return Group(*lines, sums)


def of_cache_collection(collection: Collection) -> RenderableType:
    """Summarize what may go of a cache, or is gone."""
    table = Table(box=box.SIMPLE_HEAD, title=collection.cache, title_justify="left")
    for heading in ("size", "last used", "why", "what"):
        table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=True)
    for one in collection.removals:
        table.add_row(_size_of(one.n_bytes), _when(one.used), one.reason, one.path)
    table.width = Console(width=10_000).measure(table).maximum  # never cut short: a file has no edge
    n, size = len(collection.removals), _size_of(collection.n_bytes)
    freed = f"deleted {n:,}, {size} freed" if collection.deleted else f"{n:,} may go, {size}; delete them with --yes"
    kept = [f"kept, as a run needs them: {', '.join(collection.in_use)}"] if collection.in_use else []
    left = f"{freed if n else 'nothing to delete'}; {_size_of(collection.n_bytes_left)} left"
    return Group(*([table] if n else []), *kept, left)


def of_cache_export(export: Export) -> RenderableType:
    """Summarize an export."""
    return _facts(
        "export",
        {
            "result": export.key,
            "polygons": None if export.n_polygons is None else f"{export.n_polygons:,}",
            "size": _size_of(export.n_bytes),
            "seconds": f"{export.seconds:.1f}",
            "file": export.output,
        },
    )


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
