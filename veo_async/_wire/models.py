"""The table of models: one entry per model with everything the library knows about it.

To add a model, add an entry to `MODELS` and its names to `Model`, `ModelName` and `ExtendModel`. Validation, prices,
expected and simulated durations and the dialects are derived from the table.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

import attrs


class Model(StrEnum):
    """The models: `QUALITY` for the best image, `FAST` for less time and money, `LITE` for the lowest price."""

    QUALITY = "veo3"
    FAST = "veo3_fast"
    LITE = "veo3_lite"


#: What an editor offers for each option. A newer value still works with ``validate=False``.
ModelName = Literal["veo3", "veo3_fast", "veo3_lite"]
#: The names that an extension uses for the models.
ExtendModel = Literal["fast", "quality", "lite"]
GenerationTypeName = Literal["TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"]
AspectRatioName = Literal["16:9", "9:16", "Auto"]
ResolutionName = Literal["720p", "1080p", "4k"]
DurationSeconds = Literal[4, 6, 8]


class GenerationType(StrEnum):
    """What the images are used for. Without it, the provider decides by whether there are images."""

    TEXT = "TEXT_2_VIDEO"
    FRAMES = "FIRST_AND_LAST_FRAMES_2_VIDEO"
    REFERENCE = "REFERENCE_2_VIDEO"


class AspectRatio(StrEnum):
    """The shape of the video; `AUTO` crops to the ratio that is closest to the image."""

    LANDSCAPE = "16:9"
    PORTRAIT = "9:16"
    AUTO = "Auto"


class Resolution(StrEnum):
    """The size of the video."""

    HD720 = "720p"
    HD1080 = "1080p"
    UHD = "4k"


def _values(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(item.value if isinstance(item, StrEnum) else item for item in items)


def _frozen(prices: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(prices))


@attrs.frozen
class RenderTime:
    """How long the provider takes for one clip: a log-normal distribution.

    Attributes:
        median_s: the median, in seconds.
        sigma: standard deviation of the logarithm.
    """

    median_s: float
    sigma: float


@attrs.frozen(kw_only=True)
class VideoModel:
    """One model: its name, what it supports, what it costs and how long it takes.

    Attributes:
        name: its name.
        providers: names of the dialects whose documentation lists it.
        generation_types: what the images can be used for.
        aspect_ratios: the shapes of the video.
        resolutions: the sizes of the video.
        durations: lengths of a clip, in seconds.
        reference_ratios: aspect ratios and lengths that work with reference images.
        reference_durations: lengths in seconds that work with reference images.
        extend_name: the model's name in an extension; None if it cannot extend clips.
        credits: credits by resolution, whatever the length of the clip.
        extend_credits: credits for one extension; None if the price is not known.
        expected: the estimate before any task of this model has finished; measured durations soon outweigh it.
        simulated: what the simulator draws from.
    """

    name: str
    providers: frozenset[str]
    generation_types: tuple[str, ...] = attrs.field(converter=_values)
    aspect_ratios: tuple[str, ...] = attrs.field(default=tuple(AspectRatio), converter=_values)
    resolutions: tuple[str, ...] = attrs.field(default=tuple(Resolution), converter=_values)
    durations: tuple[int, ...] = (4, 6, 8)
    reference_ratios: tuple[str, ...] = ()
    reference_durations: tuple[int, ...] = ()
    extend_name: str | None
    credits: Mapping[str, float] = attrs.field(converter=_frozen, hash=False)
    extend_credits: float | None
    expected: RenderTime
    simulated: RenderTime


MODELS: Final = (
    VideoModel(
        name=Model.QUALITY.value,
        providers=frozenset({"kie", "apikley"}),
        generation_types=(GenerationType.TEXT, GenerationType.FRAMES),
        extend_name="quality",
        credits={"720p": 250.0, "1080p": 255.0, "4k": 380.0},  # 370 for images; a budget reserves the higher price
        extend_credits=250.0,
        expected=RenderTime(190.0, 0.36),  # documented: 2-5 minutes, taken as the middle 80 %
        simulated=RenderTime(190.0, 0.359),
    ),
    VideoModel(
        name=Model.FAST.value,
        providers=frozenset({"kie", "apikley"}),
        # kie's older pages allow reference images with veo3_fast and 16:9 only; the newest pages allow these.
        generation_types=tuple(GenerationType),
        reference_ratios=("16:9", "9:16"),
        reference_durations=(8,),
        extend_name="fast",
        credits={"720p": 60.0, "1080p": 65.0, "4k": 180.0},
        extend_credits=60.0,
        expected=RenderTime(100.0, 0.50),  # users' measurements: 61 to 89 s on good days, minutes under load
        simulated=RenderTime(80.0, 0.305),
    ),
    VideoModel(
        name=Model.LITE.value,
        providers=frozenset({"kie"}),
        generation_types=tuple(GenerationType),
        reference_ratios=("16:9", "9:16"),
        reference_durations=(8,),
        extend_name="lite",
        credits={"720p": 30.0, "1080p": 35.0, "4k": 150.0},
        extend_credits=30.0,
        expected=RenderTime(85.0, 0.55),  # no measurements; sold as the lightest, so a little faster and wider
        simulated=RenderTime(60.0, 0.305),
    ),
)

#: What a request uses when it names no model.
DEFAULT_MODEL: Final[str] = Model.FAST.value
#: The default in the provider's documentation of 2025.
DEFAULT_MODEL_2025: Final[str] = Model.QUALITY.value
#: What the provider assumes for an extension that names no model.
DEFAULT_EXTEND_MODEL: Final[ExtendModel] = "fast"

#: Credits for the upgrade of a finished clip, by target; the same for all models.
UPGRADE_CREDITS: Final[Mapping[str, float]] = MappingProxyType({"1080p": 5.0, "4k": 120.0})
#: What a finished clip can be upgraded to.
UPGRADE_TARGETS: Final = tuple(UPGRADE_CREDITS)


def find_model(name: str, models: Iterable[VideoModel] = MODELS) -> VideoModel | None:
    """Return the entry of the model called *name*, or None."""
    return next((model for model in models if model.name == name), None)
