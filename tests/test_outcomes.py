"""What users see of clips, outcomes and statistics when they print them."""

from pathlib import Path

import attrs
import pytest

from tests.sessions import session_arguments
from veo_async import Clip, Done, Failed, InDoubt, Record, Refused, VeoSession
from veo_async.errors import (
    ContentRefused,
    DownloadFailed,
    InvalidRequest,
    Problem,
    ResponseLost,
    ServerError,
    TaskFailed,
)
from veo_async.simulator import MemoryTransport, refuse

CLIP = Clip(
    key='dog"<b>',
    task_id="t1",
    urls=("https://a.example/1.mp4?x=1&y=2", "https://a.example/2.mp4"),
    request=None,
    record=Record(task_id="t1"),
)


def test_clip_gives_its_first_video() -> None:
    """`url` and `file` save an index in the usual case of one video."""
    assert CLIP.url == "https://a.example/1.mp4?x=1&y=2"
    assert CLIP.file is None
    saved = attrs.evolve(CLIP, files=(Path("dog.mp4"), Path("dog-2.mp4")))
    assert saved.file == Path("dog.mp4")
    assert str(saved) == 'dog"<b>: dog.mp4, dog-2.mp4'


@pytest.mark.parametrize(
    ("outcome", "start"),
    [
        (Done(CLIP), 'done: dog"<b>: https://a.example/1.mp4'),
        (
            Refused("dog", ContentRefused("the prompt was flagged")),
            "refused: dog: content policy. Reword the prompt, change the image, or try another seed.",
        ),
        (
            Failed("dog", TaskFailed("no audio")),
            "failed: dog: the provider failed. Failed tasks are not charged; submit it again.",
        ),
        (InDoubt("dog", ResponseLost("the connection was closed")), "in doubt: dog: the response was lost. It may"),
    ],
)
def test_outcome_prints_in_one_readable_line(outcome: object, start: str) -> None:
    """State, key, and the clip or the short reason with what to do."""
    assert str(outcome).startswith(start)
    assert "\n" not in str(outcome)


UNSUCCESSFUL = [Refused, Failed, InDoubt]


@pytest.mark.parametrize("kind", UNSUCCESSFUL)
def test_outcome_has_the_providers_words_in_its_detail_only(kind: type[Refused | Failed | InDoubt]) -> None:
    """`reason` is for people; words, codes and ids are for the provider's support."""
    outcome = kind("dog", ContentRefused("flagged by filter 7", task_id="t-1", body_code=400))
    assert outcome.reason == "content policy"
    assert outcome.detail == "flagged by filter 7 (task_id t-1, body_code 400)"
    for text in (outcome.reason, outcome.remedy, str(outcome)):
        assert "filter 7" not in text
        assert "t-1" not in text


@pytest.mark.parametrize("kind", UNSUCCESSFUL)
def test_outcome_without_a_remedy_of_its_error_still_says_what_to_do(kind: type[Refused | Failed | InDoubt]) -> None:
    """No outcome leaves the user without a next step."""
    assert kind("dog", ServerError("code 599")).remedy.endswith(".")


def test_failed_with_a_clip_says_that_only_saving_failed() -> None:
    """The clip exists and is charged: generating it again would be wrong."""
    outcome = Failed("dog", DownloadFailed("the disk is full"), CLIP)
    assert outcome.reason == "the clip was generated, but not saved"
    assert outcome.detail == "the disk is full"
    assert outcome.remedy == DownloadFailed.remedy


def test_outcome_in_doubt_names_the_three_calls_that_end_it() -> None:
    """Resolve, resubmit or abandon; the remedy of the error is about a single request."""
    remedy = InDoubt("dog", ServerError("down", remedy="Retry it.")).remedy
    assert all(f"job.{action}(" in remedy for action in ("resolve", "resubmit", "abandon"))
    assert "Retry it." not in remedy


def test_refused_for_an_invalid_request_names_the_field_and_what_to_pass() -> None:
    """The value is left out: it can be a whole prompt."""
    problems = Problem("duration", 7, "must be 4, 6 or 8", "pass 8"), Problem("prompt", "x" * 400, "is too long")
    outcome = Refused("dog", InvalidRequest.of(*problems))
    assert str(outcome) == "refused: dog: duration must be 4, 6 or 8. Pass 8."


@pytest.mark.veo_virtual_time
async def test_statistics_print_in_one_readable_line() -> None:
    """Jobs by state, slots and credits."""
    sim = MemoryTransport(duration_s=60.0)
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        assert str(veo.statistics()) == "no jobs; 0/100 slots; about 0 credits spent, 0 reserved"
        await veo.gather("A dog", "A cat")
        await veo.submit("A fox")
        text = str(veo.statistics())
    assert text == "1 queued, 2 ready; 0/100 slots; about 120 credits spent, 180 reserved"


@pytest.mark.veo_virtual_time
async def test_rejection_without_a_class_of_its_own_points_to_the_details() -> None:
    """Only the provider's words say what is wrong, so the remedy says where they are."""
    sim = MemoryTransport(faults=[refuse(422, "the voice is not available")])
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        [outcome] = await veo.gather("A dog")
    assert isinstance(outcome, Refused)
    assert outcome.reason == "the provider rejected the request"
    assert outcome.remedy == "Change the request: the details say what the provider rejected. Nothing was created."
    assert "the voice is not available" in outcome.detail
