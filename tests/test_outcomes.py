"""What users see of clips, outcomes and statistics when they print them."""

from pathlib import Path

import attrs
import pytest

from tests.sessions import session_arguments
from veo_async import Clip, Done, Failed, InDoubt, Record, Refused, VeoSession
from veo_async.errors import ContentRefused, ResponseLost, TaskFailed
from veo_async.simulator import MemoryTransport

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
        (Refused("dog", "no", ContentRefused("the prompt was flagged")), "refused: dog: the prompt was flagged."),
        (Failed("dog", TaskFailed("no audio")), "failed: dog: no audio."),
        (InDoubt("dog", ResponseLost("the connection was closed")), "in doubt: dog: the connection was closed"),
    ],
)
def test_outcome_prints_in_one_readable_line(outcome: object, start: str) -> None:
    """State, key, and the clip or the error with its remedy."""
    assert str(outcome).startswith(start)
    assert "\n" not in str(outcome)


@pytest.mark.veo_virtual_time
async def test_statistics_print_in_one_readable_line() -> None:
    """Jobs by state, slots and credits."""
    sim = MemoryTransport(duration_s=60.0)
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        assert str(veo.statistics()) == "no jobs; 0/100 slots; about 0 credits spent, 0 reserved"
        await veo.gather("A dog", "A cat")
        await veo.submit("A fox")
        text = str(veo.statistics())
    assert text == "2 ready, 1 queued; 0/100 slots; about 120 credits spent, 180 reserved"
