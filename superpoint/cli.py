"""The command line: `superpoint superpixelize | label | train | predict | evaluate | run | demo`.

A command's flags are the fields of its settings (`pipelines/settings.py`); nothing is declared twice. This is
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
from superpoint.errors import InputError, SuperpointError
from superpoint.pipelines import settings as forms
from superpoint.pipelines import summaries
from superpoint.pipelines.progress import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

INTERRUPTED = 130  # the exit code of a command that was stopped with Ctrl-C

app = typer.Typer(
    name="superpoint",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Learning to map the earth from a handful of labelled points.\n\n"
    "rasters → superpixelize → label (query points vote) → train → predict → evaluate.\n\n"
    "[bold]superpoint demo[/bold] shows the whole way on a made-up scene, without data or network.",
    epilog="Exit codes: 0 done, 2 bad request, 3 some tiles failed (the others are kept; run the same command again).",
)


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


def add_command(step: str, form: type[BaseModel], summary: Callable[[Any], Any], text: str) -> None:
    """Add the command of a step: its flags are the fields of its settings, its code is imported when it runs."""
    module = step.replace("-", "_")

    def command(**values: Any) -> None:  # noqa: ANN401  # what the flags gave
        as_json = values.pop("json")
        given = {name: value for name, value in values.items() if value is not None and value != []}
        settings = form(**{name: _read_value(form, name, value) for name, value in given.items()})
        try:
            result = getattr(importlib.import_module(f"superpoint.pipelines.{module}"), module)(settings)
        except KeyboardInterrupt:  # click would end without a word
            _stop("stopped; what is done is kept, run the same command again to go on", INTERRUPTED)
        if as_json:
            sys.stdout.write(json.dumps(to_jsonable_python(_plain(result), inf_nan_mode="null"), indent=2) + "\n")
        else:
            Console().print(summary(result), highlight=False, soft_wrap=True)

    parameters = [_parameter(name, field) for name, field in form.model_fields.items()]
    switch = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for machines.")]
    parameters.append(inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=switch))
    parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    app.command(step, cls=ListCommand, help=text)(command)


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
        raise InputError(f"--{flag} takes NAME=VALUE, got {text!r}")
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
        style = "yellow" if record.levelno >= logging.WARNING else None
        console.print(escape(self.format(record)), style=style, soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line; this is the `superpoint` command."""
    logging.getLogger("superpoint").addHandler(_ConsoleHandler())
    logging.getLogger("superpoint").setLevel(logging.INFO)
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
    "Example: superpoint superpixelize ortho.tif --region-size 20 --workers 4 --output labels.tif\n\n"
    "A killed run goes on where it stopped when the same command is given again.",
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
    "label",
    forms.LabelSettings,
    summaries.of_pseudo_masks,
    "Turn query points into a pseudo-mask: each superpixel takes the majority class of the points in it.\n\n"
    "Example: superpoint label ortho.tif --points points.gpkg --class-column landuse --output pseudo.tif\n\n"
    "Every point ends in one account: used, conflicting (out-voted), duplicate, on nodata, unreadable class, outside.",
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
    "Judge maps by the truth: one confusion matrix over all their pixels, mIoU and scores of each class.\n\n"
    "Example: superpoint evaluate map.tif --truth truth.tif",
)
add_command(
    "run",
    forms.RunSettings,
    summaries.of_run,
    "Run a whole pipeline from one TOML file; the resolved settings and all results are kept in its out folder.\n\n"
    "Example: superpoint run pipelines/points-to-map.toml --set train.epochs=5",
)
add_command(
    "demo",
    forms.DemoSettings,
    summaries.of_demo,
    "Show the whole way on a made-up scene: fields, roads, buildings, water; points, superpixels, training, a map.\n\n"
    "Needs no data and no network; about two minutes on two cores.",
)
