"""The models: what each supports, what it costs and how long it takes.

::

    for model in MODELS:
        print(model.name, model.resolutions, model.credits)
"""

from ._wire.comparison import our_models
from ._wire.models import (
    DEFAULT_MODEL,
    MODELS,
    UPGRADE_CREDITS,
    AspectRatio,
    AspectRatioName,
    DurationSeconds,
    ExtendModel,
    GenerationType,
    GenerationTypeName,
    Model,
    ModelName,
    RenderTime,
    Resolution,
    ResolutionName,
    VideoModel,
    find_model,
)

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "UPGRADE_CREDITS",
    "AspectRatio",
    "AspectRatioName",
    "DurationSeconds",
    "ExtendModel",
    "GenerationType",
    "GenerationTypeName",
    "Model",
    "ModelName",
    "RenderTime",
    "Resolution",
    "ResolutionName",
    "VideoModel",
    "find_model",
    "our_models",
]
