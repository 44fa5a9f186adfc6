"""The command line: `superpoint split | superpixelize | label | inspect | train | predict | evaluate | run | demo`.

A command's flags are the fields of its settings (`pipelines/settings/`); nothing is declared twice. This is
the only place where an error becomes a sentence and an exit code: 0 done, 2 bad request, 3 some tiles failed.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import logging
import sys
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined, to_jsonable_python
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand

from superpoint import __version__
from superpoint.errors import InputError, SuperpointError, TilesFailedError
from superpoint.pipelines import settings as forms
from superpoint.pipelines import summaries
from superpoint.pipelines.progress import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

INTERRUPTED = 130  # the exit code of a command that was stopped with Ctrl-C
INSTEAD: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "dry_run": ("forecast.forecast", summaries.of_forecast),
    "estimate": ("experiment.estimate", summaries.of_estimate),
}
"""Flags with which a command only says what it would do: the code of that, and its summary."""

app = typer.Typer(
    name="superpoint",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Learning to map the earth from a handful of labelled points.\n\n"
    "rasters → superpixelize → label (query points vote) → inspect → train → predict → evaluate.\n\n"
    "[bold]superpoint demo[/bold] shows the whole way on a made-up scene, without data or network.",
    epilog="Exit codes: 0 done, 2 bad request, 3 some rasters or tiles failed (the rest is kept; run it again), "
    "1 anything else, 130 stopped with Ctrl-C.",
)

cache_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Care of the cache: what it holds, whether that is intact, what may go, and results as files.\n\n"
    "A result is named by its path or URL, or by the beginning of its key (NAME-DIGEST) or of its digest.",
)
app.add_typer(cache_app, name="cache")


class ListCommand(TyperCommand):
    """Takes several values after one flag, `--raster a.tif b.tif`, as scripts expect of lists.

    Only where no argument goes without a flag: there it would be unclear whose a value is.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # click's context
        """Repeat a list's flag before each of its values."""
        if any(parameter.param_type_name == "argument" for parameter in self.params):
            return super().parse_args(ctx, args)
        lists = {name for parameter in self.params if getattr(parameter, "multiple", False) for name in parameter.opts}
        spread: list[str] = []
        flag = None
        for arg in args:
            if arg.startswith("-"):
                flag = arg if arg in lists else None
            elif flag is not None and spread[-1] != flag:
                spread.append(flag)
            spread.append(arg)
        return super().parse_args(ctx, spread)


def add_command(
    step: str,
    form: type[BaseModel],
    summary: Callable[[Any], Any],
    text: str,
    *,
    under: typer.Typer = app,
    code: str | None = None,
) -> None:
    """Add the command of a step: its flags are the fields of its settings, its code is imported when it runs.

    The code is `module.function` of the pipelines; by default both are named after the step.
    """
    name = step.replace("-", "_")
    place = code or f"{name}.{name}"

    def command(**values: Any) -> None:  # noqa: ANN401  # what the flags gave
        as_json = values.pop("json")
        given = {name: value for name, value in values.items() if value is not None and value != []}
        settings = form(**{name: _read_value(form, name, value) for name, value in given.items()})
        try:
            instead = next((name for name in INSTEAD if getattr(settings, name, False)), None)
            what, shown = INSTEAD[instead] if instead else (place, summary)
            result = _function_of(what)(settings)
        except TilesFailedError as error:
            if error.results:
                _print(error.results, as_json, shown)
            raise
        except KeyboardInterrupt:  # click would end without a word
            _stop("stopped; what is done is kept, run the same command again to go on", INTERRUPTED)
        _print(result, as_json, shown)

    parameters = [_parameter(name, field) for name, field in form.model_fields.items()]
    switch = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for machines.")]
    parameters.append(inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=switch))
    parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    under.command(step, cls=ListCommand, help=text)(command)


def _function_of(place: str) -> Callable[[Any], Any]:
    """Import a function of the pipelines by its `module.function`."""
    module, _, name = place.partition(".")
    return getattr(importlib.import_module(f"superpoint.pipelines.{module}"), name)  # type: ignore[no-any-return]


def _print(result: Any, as_json: bool, summary: Callable[[Any], Any]) -> None:  # noqa: ANN401  # any step's result
    if as_json:
        sys.stdout.write(json.dumps(to_jsonable_python(_plain(result), inf_nan_mode="null"), indent=2) + "\n")
    elif result:
        Console().print(summary(result), highlight=False, soft_wrap=True)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Turn a field of the settings into a parameter that typer understands."""
    help_text = escape(field.description or "")
    kind = _flag_type(field.annotation)
    default = None if field.default in (PydanticUndefined, [], {}, None) else field.default
    if any(isinstance(mark, forms.Positional) for mark in field.metadata):
        # click takes what is left for the first list of arguments; the last one must be it.
        metavar = f"{name.rstrip('s').upper()}..." if get_origin(field.annotation) is list else name.upper()
        option: Any = typer.Argument(help=help_text, show_default=False, metavar=metavar)
    else:
        # Spelled out, so that a switch has no --no- twin.
        option = typer.Option("--" + name.replace("_", "-"), help=help_text, show_default=default not in (None, False))
    if field.is_required():
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option])
    optional = kind if kind is bool else kind | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[optional, option]
    )


def _flag_type(annotation: Any) -> Any:  # noqa: ANN401  # types are values here
    """Return what the terminal can give for a field; pydantic does the rest."""
    if get_origin(annotation) in (list, dict):
        return list[str]
    plain = [kind for kind in (annotation, *get_args(annotation)) if kind in (bool, int, float)]
    return plain[0] if plain else str


def _read_value(form: type[BaseModel], name: str, value: Any) -> Any:  # noqa: ANN401  # flags give anything
    """Read NAME=VALUE lists as dictionaries, and numbers that are joined by commas as lists."""
    annotation = form.model_fields[name].annotation
    if get_origin(annotation) is dict:
        return dict(_assignment(item, name) for item in value)
    if _is_list_of_numbers(annotation):
        return [number for item in value for number in item.split(",")]
    return value


def _is_list_of_numbers(annotation: Any) -> bool:  # noqa: ANN401  # types are values here
    kinds = get_args(annotation) if get_origin(annotation) is list else ()
    return any(kind in (int, float) or get_args(kind)[:1] in ((int,), (float,)) for kind in kinds)


def _assignment(text: str, flag: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--{flag.replace('_', '-')} takes NAME=VALUE, got {text!r}")
    if value == "null":  # which TOML has no word for
        return name, None
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def _plain(result: Any) -> Any:  # noqa: ANN401  # any step's result
    """Return a result as dictionaries and lists."""
    if isinstance(result, list):
        return [_plain(item) for item in result]
    return dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result


class _ConsoleHandler(logging.Handler):
    """Prints log lines above the progress bars, unwrapped."""

    def emit(self, record: logging.LogRecord) -> None:
        is_warning = record.levelno >= logging.WARNING
        line = f"{'warning: ' if is_warning else ''}{self.format(record)}"
        console.print(escape(line), style="yellow" if is_warning else None, soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line; this is the `superpoint` command."""
    log = logging.getLogger("superpoint")
    if not any(isinstance(handler, _ConsoleHandler) for handler in log.handlers):
        log.addHandler(_ConsoleHandler())
    log.setLevel(logging.INFO)
    try:
        app()
    except SuperpointError as error:
        _stop(str(error), error.exit_code)
    except ValidationError as error:
        _stop(_sentence(error), InputError.exit_code)
    except OSError as error:
        _stop(
            f"{error.strerror or error}: {error.filename or 'a file'}; what is done is kept", SuperpointError.exit_code
        )


def _stop(sentence: str, exit_code: int) -> NoReturn:
    console.print(f"[bold red]error:[/bold red] {escape(sentence)}", soft_wrap=True, highlight=False)
    raise SystemExit(exit_code)


def _sentence(error: ValidationError) -> str:
    """Say what is wrong with a setting, in one line."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][:1]).replace("_", "-")
    message = first["msg"].removeprefix("Value error, ")
    return f"--{place}: {message}, got {first['input']!r}" if place else message


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"superpoint {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Learning to map the earth from a handful of labelled points."""


add_command(
    "superpixelize",
    forms.SuperpixelizeSettings,
    summaries.of_label_maps,
    "Superpixelize rasters, tile by tile and without seams, into the cache.\n\n"
    "Examples: superpoint superpixelize ortho.tif --region-size 20 --workers 4 --output labels.tif\n\n"
    "superpoint superpixelize 'archive/**/*.tif' --cache s3://bucket/cache --scheduler tcp://host:8786\n\n"
    "A killed run goes on where it stopped when the same command is given again. A raster that cannot be used is "
    "quarantined, the others go on.",
)
add_command(
    "status",
    forms.StatusSettings,
    summaries.of_status,
    "Say how far a run is, while it runs and after: rasters, tiles, speed, and what was quarantined, with reasons.\n\n"
    "Example: superpoint status latest",
)
add_command(
    "retry",
    forms.RetrySettings,
    summaries.of_retry,
    "Try the rasters of a run again that were quarantined or never begun, with the run's own settings.\n\n"
    "Example: superpoint retry 20260102T120000-1a2b3c",
)
add_command(
    "report",
    forms.ReportSettings,
    summaries.of_report,
    "Write a page on a run: throughput over time, slowest tiles, failures with reasons, sizes, pictures. Or on an "
    "experiment, by its folder: curves with intervals, diminishing returns, a table, maps.\n\n"
    "Examples: superpoint report latest --output report.html\n\n"
    "superpoint report out/points-per-image",
)
add_command(
    "algorithms",
    forms.AlgorithmsSettings,
    summaries.of_algorithms,
    "List the superpixel algorithms: what each takes, its licence, and whether it is installed.\n\n"
    "With --json also the parameters of each and their defaults.",
)
add_command(
    "compare",
    forms.CompareSettings,
    summaries.of_comparison,
    "Compare superpixel algorithms on one raster: speed, memory, quality, seams, and a picture of their boundaries.\n\n"
    "Example: superpoint compare ortho.tif --algorithms slic,snic,hers --crop 2048x2048 --truth mask.tif\n\n"
    "All get the same image; speed and memory are measured on one core, in processes of their own.",
)
add_command(
    "cut",
    forms.CutSettings,
    summaries.of_cuts,
    "Cut rasters into superpixels of several sizes at once, nested: HERS merges all pixels once, a cut is instant.\n\n"
    "Example: superpoint cut ortho.tif --n-segments 100,300,1000 --output levels.tif\n\n"
    "Works on whole rasters in memory; the hierarchy is kept in the cache, and other sizes take it from there.",
)
add_command(
    "split",
    forms.SplitSettings,
    summaries.of_split,
    "Divide rasters into those that train, validate and test, by whole groups: a table that says which is which.\n\n"
    "Example: superpoint split 'dubai/*/images/*.jpg' --masks '{folder}/../masks/{stem}.png' --group 'Tile (\\d+)' "
    "--train 1,2,3,4 --validation 5 --test 6 --output split.csv\n\n"
    "In a pipeline file, a table \\[split] gives the later steps their rasters.",
)
add_command(
    "sample",
    forms.SampleSettings,
    summaries.of_sampled_points,
    "Draw points from dense masks, to simulate annotators: once, to be kept, the same for all superpixels.\n\n"
    "Example: superpoint sample mask.tif --strategy balanced --n-points 300 --seed 0 --output points.gpkg\n\n"
    "With --wrong, --confusion, --jitter and --annotators the file also says what was true.",
)
add_command(
    "suggest",
    forms.SuggestSettings,
    summaries.of_suggestions,
    "Say which superpixels to label next, and put a point into each: the largest, the most different in colour, or "
    "those that models are unsure of or disagree on.\n\n"
    "Example: superpoint suggest ortho-3f2a --points points.gpkg --strategy diversity --output next.gpkg",
)
add_command(
    "label",
    forms.LabelSettings,
    summaries.of_pseudo_masks,
    "Turn query points into a pseudo-mask: each superpixel takes the majority class of the points in it.\n\n"
    "Example: superpoint label ortho.tif --points points.gpkg --class-column landuse --output pseudo.tif\n\n"
    "Every row of the points ends in one state, with a reason: used, too weak, conflicting (out-voted), duplicate, on "
    "nodata, unreadable class, outside, no place. --improve fills or takes away labels after the vote.",
)
add_command(
    "inspect",
    forms.InspectSettings,
    summaries.of_inspection,
    "Look at a pseudo-mask before training on it: a page of coverage, votes and classes; with the truth also what is "
    "wrong, and why.\n\n"
    "Example: superpoint inspect ortho-3f2a --truth truth.tif --output ortho.html\n\n"
    "Several are pooled; --truth is then given once for each, in their order.",
)
add_command(
    "train",
    forms.TrainSettings,
    summaries.of_training,
    "Train a segmentation network on the labelled pixels of pseudo-masks (or of full masks).\n\n"
    "Example: superpoint train --raster a.tif b.tif --labels a-pseudo.tif b-pseudo.tif --out model --epochs 20",
)
add_command(
    "train-affinity",
    forms.TrainAffinitySettings,
    summaries.of_affinity_training,
    "Train the affinities of HERS (dal) on masks: do two neighbouring pixels lie in one segment?\n\n"
    "Example: superpoint train-affinity --raster a.tif b.tif --labels a.png b.png --classes classes.toml --out dal",
)
add_command(
    "predict",
    forms.PredictSettings,
    summaries.of_maps,
    "Map rasters with a trained network: overlapping patches, blended, written as a COG with a colour table.\n\n"
    "Example: superpoint predict model/last.ckpt ortho.tif --output map.tif",
)
add_command(
    "evaluate",
    forms.EvaluateSettings,
    summaries.of_evaluation,
    "Judge maps by the truth: scores of one confusion matrix over all their pixels, of outlines (boundary IoU), and of "
    "each map, with bootstrap intervals over several; with --error-map also where they are wrong.\n\n"
    "Example: superpoint evaluate map.tif --truth truth.tif --error-map errors.tif",
)
add_command(
    "export",
    forms.ExportSettings,
    summaries.of_exported_network,
    "Write a trained network for others: weights as safetensors with JSON beside them, or an ONNX graph from band "
    "values to class probabilities.\n\n"
    "Example: superpoint export model/best.ckpt --output model.onnx",
)
add_command(
    "run",
    forms.RunSettings,
    summaries.of_run,
    "Run a whole pipeline from one TOML file; the resolved settings and all results are kept in its out folder.\n\n"
    "Example: superpoint run pipelines/points-to-map.toml --set train.epochs=5",
)
add_command(
    "experiment",
    forms.ExperimentSettings,
    summaries.of_experiment,
    "Run a pipeline for each cell of a grid of settings; a table, curves and a page say what came of them.\n\n"
    "Example: superpoint experiment pipelines/experiments/budget.toml --estimate\n\n"
    "What cells share (points, labels, networks) is done once. A cell that fails is listed, the others go on; the same "
    "command again goes on where a killed one stopped. superpoint report OUT writes the page anew.",
)
add_command(
    "demo",
    forms.DemoSettings,
    summaries.of_demo,
    "Show the whole way on a made-up scene: fields, roads, buildings, water; points, superpixels, training, a map.\n\n"
    "Needs no data and no network; about two minutes on two cores.",
)
add_command(
    "ls",
    forms.CacheLsSettings,
    summaries.of_cache_listing,
    "List what the cache holds: label maps, pseudo-masks and hierarchies with their tiles, sizes and keys.",
    under=cache_app,
    code="care.cache_ls",
)
add_command(
    "info",
    forms.CacheInfoSettings,
    summaries.of_cache_info,
    "Say everything about one result: provenance, grid, codecs, what its ledger comes to, tiles that failed.\n\n"
    "Example: superpoint cache info ortho-3f2a",
    under=cache_app,
    code="cachefacts.cache_info",
)
add_command(
    "verify",
    forms.CacheVerifySettings,
    summaries.of_cache_checks,
    "Read everything and report whatever is not as it was written; exit code 3 if anything is damaged.\n\n"
    "The command that made a result, given again, computes what is damaged and nothing else.",
    under=cache_app,
    code="care.cache_verify",
)
add_command(
    "gc",
    forms.CacheGcSettings,
    summaries.of_cache_collection,
    "List what may go, and delete it with --yes; what a run in progress needs stays, and what is an hour old or less "
    "(unless --older-than says less).\n\n"
    "Example: superpoint cache gc --older-than 30d --leftovers --yes",
    under=cache_app,
    code="care.cache_gc",
)
add_command(
    "export",
    forms.CacheExportSettings,
    summaries.of_cache_export,
    "Write a result as a COG, or a label map as polygons with area, bounding box, mean and deviation of each band.\n\n"
    "Example: superpoint cache export ortho-3f2a superpixels.parquet",
    under=cache_app,
    code="cacheexport.cache_export",
)
