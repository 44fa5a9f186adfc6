"""Learning to map the earth from a handful of labelled points.

The steps are functions of their settings, in the order of the data::

    import superpoint as sp

    masks = sp.label(sp.LabelSettings(rasters=["ortho.tif"], points="points.gpkg"))
    model = sp.train(sp.TrainSettings(raster=["ortho.tif"], labels=[masks[0].path], out="model"))
    maps = sp.predict(sp.PredictSettings(checkpoint=model.checkpoint, rasters=["ortho.tif"], output="map.tif"))

The names of the settings are those of the command line's flags. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from superpoint.inspection.facts import Inspection
    from superpoint.pipelines.algorithms import Listed, algorithms
    from superpoint.pipelines.cacheexport import cache_export
    from superpoint.pipelines.cachefacts import cache_info
    from superpoint.pipelines.care import cache_gc, cache_ls, cache_verify
    from superpoint.pipelines.compare import Compared, compare
    from superpoint.pipelines.cut import Cut, cut
    from superpoint.pipelines.evaluate import Evaluation, evaluate
    from superpoint.pipelines.experiment import Experiment, experiment
    from superpoint.pipelines.export import ExportedNetwork, export
    from superpoint.pipelines.forecast import Forecast, forecast
    from superpoint.pipelines.inspect import inspect
    from superpoint.pipelines.label import PseudoMask, label
    from superpoint.pipelines.predict import Map, predict
    from superpoint.pipelines.report import Report, report
    from superpoint.pipelines.retry import Retried, retry
    from superpoint.pipelines.run import Run, run
    from superpoint.pipelines.sample import SampledPoints, sample
    from superpoint.pipelines.settings import (
        AlgorithmsSettings,
        CacheExportSettings,
        CacheGcSettings,
        CacheInfoSettings,
        CacheLsSettings,
        CacheVerifySettings,
        CompareSettings,
        CutSettings,
        EvaluateSettings,
        ExperimentSettings,
        ExportSettings,
        InspectSettings,
        LabelSettings,
        PredictSettings,
        ReportSettings,
        RetrySettings,
        RunSettings,
        SampleSettings,
        SplitSettings,
        StatusSettings,
        SuggestSettings,
        SuperpixelizeSettings,
        TrainAffinitySettings,
        TrainSettings,
    )
    from superpoint.pipelines.split import DatasetSplit, split
    from superpoint.pipelines.status import Status, status
    from superpoint.pipelines.suggest import Suggestions, suggest
    from superpoint.pipelines.superpixelize import LabelMap, superpixelize
    from superpoint.pipelines.train import Training, train
    from superpoint.pipelines.train_affinity import AffinityTraining, train_affinity

__version__ = "0.1.0"

_HOMES = {
    "settings": (
        "AlgorithmsSettings",
        "CacheExportSettings",
        "CacheGcSettings",
        "CacheInfoSettings",
        "CacheLsSettings",
        "CacheVerifySettings",
        "CompareSettings",
        "CutSettings",
        "EvaluateSettings",
        "ExperimentSettings",
        "ExportSettings",
        "InspectSettings",
        "LabelSettings",
        "PredictSettings",
        "ReportSettings",
        "RetrySettings",
        "RunSettings",
        "SampleSettings",
        "SplitSettings",
        "StatusSettings",
        "SuggestSettings",
        "SuperpixelizeSettings",
        "TrainAffinitySettings",
        "TrainSettings",
    ),
    "superpixelize": ("LabelMap", "superpixelize"),
    "algorithms": ("Listed", "algorithms"),
    "compare": ("Compared", "compare"),
    "cut": ("Cut", "cut"),
    "inspect": ("Inspection", "inspect"),
    "label": ("PseudoMask", "label"),
    "train": ("Training", "train"),
    "train_affinity": ("AffinityTraining", "train_affinity"),
    "predict": ("Map", "predict"),
    "evaluate": ("Evaluation", "evaluate"),
    "export": ("ExportedNetwork", "export"),
    "run": ("Run", "run"),
    "experiment": ("Experiment", "experiment"),
    "forecast": ("Forecast", "forecast"),
    "status": ("Status", "status"),
    "split": ("DatasetSplit", "split"),
    "sample": ("SampledPoints", "sample"),
    "suggest": ("Suggestions", "suggest"),
    "retry": ("Retried", "retry"),
    "report": ("Report", "report"),
    "care": ("cache_gc", "cache_ls", "cache_verify"),
    "cachefacts": ("cache_info",),
    "cacheexport": ("cache_export",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AffinityTraining",
    "AlgorithmsSettings",
    "CacheExportSettings",
    "CacheGcSettings",
    "CacheInfoSettings",
    "CacheLsSettings",
    "CacheVerifySettings",
    "CompareSettings",
    "Compared",
    "Cut",
    "CutSettings",
    "DatasetSplit",
    "EvaluateSettings",
    "Evaluation",
    "Experiment",
    "ExperimentSettings",
    "ExportSettings",
    "ExportedNetwork",
    "Forecast",
    "InspectSettings",
    "Inspection",
    "LabelMap",
    "LabelSettings",
    "Listed",
    "Map",
    "PredictSettings",
    "PseudoMask",
    "Report",
    "ReportSettings",
    "Retried",
    "RetrySettings",
    "Run",
    "RunSettings",
    "SampleSettings",
    "SampledPoints",
    "SplitSettings",
    "Status",
    "StatusSettings",
    "SuggestSettings",
    "Suggestions",
    "SuperpixelizeSettings",
    "TrainAffinitySettings",
    "TrainSettings",
    "Training",
    "algorithms",
    "cache_export",
    "cache_gc",
    "cache_info",
    "cache_ls",
    "cache_verify",
    "compare",
    "cut",
    "evaluate",
    "experiment",
    "export",
    "forecast",
    "inspect",
    "label",
    "predict",
    "report",
    "retry",
    "run",
    "sample",
    "split",
    "status",
    "suggest",
    "superpixelize",
    "train",
    "train_affinity",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever is asked for
    if name not in _HOME_OF:
        raise AttributeError(f"module 'superpoint' has no attribute {name!r}")
    return getattr(importlib.import_module(f"superpoint.pipelines.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
