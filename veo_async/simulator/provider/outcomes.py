"""Draws a task's outcome when the task is created: from words in its prompt, else from a seeded random generator.

===================== ==========================================================================================
word in the prompt    effect
===================== ==========================================================================================
[refuse]              refused immediately: 422, "Your request was rejected by Flow(…)"
[refuse-late]         accepted, then refused in the record: successFlag 3, errorCode 400
[fail]                fails: successFlag 3, errorCode 500 or 501
[flag-2]              fails before completion: successFlag 2
[audio-failure]       fails: "The Google model was unable to generate audio for this request."
[image-unreachable]   fails; the record is an error with code 500 and ``data.errorMessage``
[no-audio]            succeeds without sound: ``hasAudioList: [false]``
[empty]               succeeds without URLs; they appear ``empty_result_s`` later
[slow]                takes ten times as long
[stuck]               never finishes
[fail-1080p]          succeeds, but its 1080p upgrade fails
[fail-4k]             succeeds, but its 4K upgrade fails
===================== ==========================================================================================
"""

from math import inf
from random import Random

import attrs

from .durations import draw_duration
from .messages import ErrorResponse
from .requests import GenerationRequest
from .settings import ProviderSettings

_FLAGGED = "Your prompt was flagged by Website as violating content policies."
_BY_FLOW = (
    "Your request was rejected by Flow({original}). You may consider using our other fallback channels, "
    "which are likely to succeed. Please refer to the documentation."
)
_NO_AUDIO = "The Google model was unable to generate audio for this request."
UNREACHABLE_IMAGE = "Image fetch failed. Check access settings or use our File Upload API instead."
UNFETCHABLE_IMAGE = "Failed to fetch the image. Kindly verify any access limits set by you or your service provider."
NO_UPGRADE = {
    "1080p": "The 1080P version of this video is unavailable. Please try a different video.",
    "4k": "The 4K version of this video is unavailable. Please try a different video.",
}
_FAILURES = (
    (500, "Internal Error, Please try again later."),
    (500, "Internal Error - Timeout"),
    (501, "Failed - Video generation task failed"),
)
_SLOW_FACTOR = 10.0


@attrs.frozen(kw_only=True)
class TaskOutcome:
    """How a task ends, and how long it takes."""

    duration_s: float
    #: The final success flag: 1 succeeded, 2 or 3 failed.
    flag: int = 1
    code: int | None = None
    message: str | None = None
    has_audio: bool = True
    #: Seconds from success until the record shows the URLs.
    urls_after_s: float = 0.0
    #: record-info returns an error instead of a failed record.
    record_is_error: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the task succeeds."""
        return self.flag == 1


def check_content(request: GenerationRequest, rng: Random, settings: ProviderSettings) -> bool:
    """Return whether the content is refused later, in the record.

    Raises:
        ErrorResponse: code 422; the content is refused immediately.
    """
    is_refused = settings.refusal_rate > 0 and rng.random() < settings.refusal_rate
    is_late = is_refused and rng.random() < 0.5
    if "[refuse]" in request.prompt or (is_refused and not is_late):
        raise ErrorResponse(422, _BY_FLOW.format(original=_FLAGGED.rstrip(".")))
    return is_late or "[refuse-late]" in request.prompt


def draw_outcome(
    kind: str, request: GenerationRequest, rng: Random, settings: ProviderSettings, *, is_refused: bool
) -> TaskOutcome:
    """Draw the outcome of a task.

    Args:
        kind: A model, ``extend``, ``1080p`` or ``4k``; it decides how long the task takes.
        is_refused: The content is refused, so the task fails.
    """
    duration_s = _task_duration(kind, request, rng, settings)
    failure = _failure(request.prompt, rng, settings, is_refused=is_refused)
    if failure is not None:
        flag, code, message = failure
        is_early = duration_s < inf and settings.duration_s is None
        duration_s *= rng.uniform(0.1, 0.5) if is_early else 1.0
        return TaskOutcome(
            duration_s=duration_s, flag=flag, code=code, message=message, record_is_error=message == UNREACHABLE_IMAGE
        )
    is_empty = "[empty]" in request.prompt or (
        settings.empty_result_rate > 0 and rng.random() < settings.empty_result_rate
    )
    return TaskOutcome(
        duration_s=duration_s,
        has_audio="[no-audio]" not in request.prompt,
        urls_after_s=settings.empty_result_s if is_empty else 0.0,
    )


def _task_duration(kind: str, request: GenerationRequest, rng: Random, settings: ProviderSettings) -> float:
    if "[stuck]" in request.prompt:
        return inf
    duration_s = settings.duration_s
    if duration_s is None:
        duration_s = draw_duration(kind, rng, settings.durations, resolution=request.resolution)
    is_slow = "[slow]" in request.prompt or (settings.slow_rate > 0 and rng.random() < settings.slow_rate)
    return duration_s * _SLOW_FACTOR if is_slow else duration_s


def _failure(prompt: str, rng: Random, settings: ProviderSettings, *, is_refused: bool) -> tuple[int, int, str] | None:
    if is_refused:
        return 3, 400, _FLAGGED
    if "[flag-2]" in prompt:
        return 2, *_FAILURES[0]
    if "[audio-failure]" in prompt:
        return 3, 400, _NO_AUDIO
    if "[image-unreachable]" in prompt:
        return 3, 500, UNREACHABLE_IMAGE
    if "[fail]" in prompt or (settings.failure_rate > 0 and rng.random() < settings.failure_rate):
        return 3, *rng.choice(_FAILURES)
    return None
