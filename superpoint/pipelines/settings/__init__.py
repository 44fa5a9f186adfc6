"""The settings of every step: one model a step, whose field names are the flags and the keys of a TOML file.

A field's description is the flag's help. `Positional` marks what the command line takes without a flag.
"""

from superpoint.pipelines.settings.base import (
    Band,
    CacheSettings,
    Place,
    Positional,
    Settings,
    default_cache,
    wherever,
)
from superpoint.pipelines.settings.care import (
    CacheExportSettings,
    CacheGcSettings,
    CacheInfoSettings,
    CacheLsSettings,
    CacheVerifySettings,
)
from superpoint.pipelines.settings.export import ExportSettings
from superpoint.pipelines.settings.inspection import InspectSettings
from superpoint.pipelines.settings.jobs import (
    JobSettings,
    ReportSettings,
    RetrySettings,
    RunReference,
    StatusSettings,
)
from superpoint.pipelines.settings.labels import (
    LabelSettings,
)
from superpoint.pipelines.settings.prediction import EvaluateSettings, PredictSettings
from superpoint.pipelines.settings.sampling import SampleSettings, SuggestSettings
from superpoint.pipelines.settings.splitting import SplitSettings
from superpoint.pipelines.settings.superpixels import (
    AlgorithmsSettings,
    CompareSettings,
    CutSettings,
    InputSettings,
    SuperpixelizeSettings,
    SuperpixelSettings,
)
from superpoint.pipelines.settings.training import (
    TrainAffinitySettings,
    TrainSettings,
)
from superpoint.pipelines.settings.whole import (
    DemoSettings,
    ExperimentSettings,
    RunSettings,
)

__all__ = [
    "AlgorithmsSettings",
    "Band",
    "CacheExportSettings",
    "CacheGcSettings",
    "CacheInfoSettings",
    "CacheLsSettings",
    "CacheSettings",
    "CacheVerifySettings",
    "CompareSettings",
    "CutSettings",
    "DemoSettings",
    "EvaluateSettings",
    "ExperimentSettings",
    "ExportSettings",
    "InputSettings",
    "InspectSettings",
    "JobSettings",
    "LabelSettings",
    "Place",
    "Positional",
    "PredictSettings",
    "ReportSettings",
    "RetrySettings",
    "RunReference",
    "RunSettings",
    "SampleSettings",
    "Settings",
    "SplitSettings",
    "StatusSettings",
    "SuggestSettings",
    "SuperpixelSettings",
    "SuperpixelizeSettings",
    "TrainAffinitySettings",
    "TrainSettings",
    "default_cache",
    "wherever",
]
