"""params.yaml -> frozen, self-validating settings."""

from pipeline.params.file import build, load_params, parse_params
from pipeline.params.sections import (
    CacheParams,
    ClipParams,
    DatasetParams,
    DemoSetParams,
    LlmParams,
    Params,
    PromptParams,
    RidgeParams,
    RunParams,
    ScoreParams,
    TrainParams,
)

__all__ = [
    "CacheParams",
    "ClipParams",
    "DatasetParams",
    "DemoSetParams",
    "LlmParams",
    "Params",
    "PromptParams",
    "RidgeParams",
    "RunParams",
    "ScoreParams",
    "TrainParams",
    "build",
    "load_params",
    "parse_params",
]
