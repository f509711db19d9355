"""What becomes of a task, decided when it is made: by words in its prompt, else by a seeded dice.

===================== ==========================================================================================
word in the prompt    what it does
===================== ==========================================================================================
[refuse]              refused at once: 422, "Your request was rejected by Flow(…)"
[refuse-late]         accepted, then refused in the record: successFlag 3, errorCode 400
[fail]                fails: successFlag 3, errorCode 500 or 501
[flag-2]              fails before completion: successFlag 2
[audio-failure]       fails: "The Google model was unable to generate audio for this request."
[image-unreachable]   the record answers code 500 with ``data.errorMessage``
[no-audio]            succeeds without sound: ``hasAudioList: [false]``
[empty]               succeeds without URLs; they appear ``empty_result_s`` later
[slow]                takes ten times as long
[stuck]               never ends
[fail-4k]             succeeds, but its 4K upgrade fails
===================== ==========================================================================================
"""

from math import inf
from random import Random

import attrs

from veo_async.simulator.settings import SimulatorSettings

from .durations import draw_duration
from .messages import ErrorResponse
from .requests import GenerationRequest

_FLAGGED = "Your prompt was flagged by Website as violating content policies."
_BY_FLOW = (
    "Your request was rejected by Flow({original}). You may consider using our other fallback channels, "
    "which are likely to succeed. Please refer to the documentation."
)
_NO_AUDIO = "The Google model was unable to generate audio for this request."
UNREACHABLE_IMAGE = "Image fetch failed. Check access settings or use our File Upload API instead."
UNFETCHABLE_IMAGE = "Failed to fetch the image. Kindly verify any access limits set by you or your service provider."
NO_4K = "The 4K version of this video is unavailable. Please try a different video."
_BREAKDOWNS = (
    (500, "Internal Error, Please try again later."),
    (500, "Internal Error - Timeout"),
    (501, "Failed - Video generation task failed"),
)
_SLOW_FACTOR = 10.0


@attrs.frozen(kw_only=True)
class TaskOutcome:
    """How a task ends, and after how long."""

    duration_s: float
    #: 1 done, 2 and 3 failed.
    flag: int = 1
    code: int | None = None
    message: str | None = None
    has_audio: bool = True
    #: How long after the end the URLs appear.
    urls_after_s: float = 0.0
    #: The record is an error itself.
    record_is_error: bool = False

    @property
    def is_success(self) -> bool:
        return self.flag == 1


def check_content(wanted: GenerationRequest, rng: Random, settings: SimulatorSettings) -> bool:
    """Raise the refusal at the door; else answer whether it comes late, in the record."""
    is_refused = settings.refusal_rate > 0 and rng.random() < settings.refusal_rate
    is_late = is_refused and rng.random() < 0.5
    if "[refuse]" in wanted.prompt or (is_refused and not is_late):
        raise ErrorResponse(422, _BY_FLOW.format(original=_FLAGGED.rstrip(".")))
    return is_late or "[refuse-late]" in wanted.prompt


def draw_outcome(
    kind: str, wanted: GenerationRequest, rng: Random, settings: SimulatorSettings, *, is_refused: bool
) -> TaskOutcome:
    """The fate of a task of *kind* (a model, ``extend``, ``4k``); *is_refused*: its content is."""
    duration_s = _draw_span(kind, wanted, rng, settings)
    failure = _failure(wanted.prompt, rng, settings, is_refused=is_refused)
    if failure is not None:
        flag, code, message = failure
        is_early = duration_s < inf and settings.duration_s is None
        span_s = duration_s * rng.uniform(0.1, 0.5) if is_early else duration_s
        return TaskOutcome(
            duration_s=span_s, flag=flag, code=code, message=message, record_is_error=message == UNREACHABLE_IMAGE
        )
    is_empty = "[empty]" in wanted.prompt or (
        settings.empty_result_rate > 0 and rng.random() < settings.empty_result_rate
    )
    return TaskOutcome(
        duration_s=duration_s,
        has_audio="[no-audio]" not in wanted.prompt,
        urls_after_s=settings.empty_result_s if is_empty else 0.0,
    )


def _draw_span(kind: str, wanted: GenerationRequest, rng: Random, settings: SimulatorSettings) -> float:
    if "[stuck]" in wanted.prompt:
        return inf
    duration_s = settings.duration_s
    if duration_s is None:
        duration_s = draw_duration(kind, rng, settings.durations, resolution=wanted.resolution)
    is_slow = "[slow]" in wanted.prompt or (settings.slow_rate > 0 and rng.random() < settings.slow_rate)
    return duration_s * _SLOW_FACTOR if is_slow else duration_s


def _failure(prompt: str, rng: Random, settings: SimulatorSettings, *, is_refused: bool) -> tuple[int, int, str] | None:
    if is_refused:
        return 3, 400, _FLAGGED
    if "[flag-2]" in prompt:
        return 2, *_BREAKDOWNS[0]
    if "[audio-failure]" in prompt:
        return 3, 400, _NO_AUDIO
    if "[image-unreachable]" in prompt:
        return 3, 500, UNREACHABLE_IMAGE
    if "[fail]" in prompt or (settings.failure_rate > 0 and rng.random() < settings.failure_rate):
        return 3, *rng.choice(_BREAKDOWNS)
    return None
