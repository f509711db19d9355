"""Eight clips, from prompts to files, against a simulator in this very process: no key, no network, no cost.

The simulator's clock runs fast, so that a minute of rendering passes in seconds; everything else is as in earnest.
"""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from veo_async import Record, TaskState, VeoApi, VideoRequest
from veo_async.errors import TryLater, VeoError
from veo_async.media import SavedFile, Saver
from veo_async.simulator import Simulator

from .board import Row, Show, Stage, board

#: Simulated seconds in a real one.
_SPEED = 15.0
#: Simulated seconds between two looks at a task.
_LOOK_EVERY_S = 6.0

CLIPS = {
    "surfing-dog": VideoRequest("A dog surfing at dusk, slow motion", aspect_ratio="16:9"),
    "lantern-boat": VideoRequest("A paper boat with a lantern drifts through a flooded street at night"),
    "city-wakes": VideoRequest("Time lapse of a city waking up, seen from a rooftop garden"),
    "tea-steam": VideoRequest("Steam curls from a cup of tea, macro, morning light", aspect_ratio="9:16"),
    "fox-in-snow": VideoRequest("A fox listens, then dives head first into deep snow"),
    "old-projector": VideoRequest("An old projector starts; dust dances in its beam", aspect_ratio="9:16"),
    "orange-tree": VideoRequest("An orange tree grows from seed to fruit in eight seconds"),
    "moon-violin": VideoRequest("A violinist plays alone on the moon, earthrise behind her", seeds=42424),
}


async def run_demo(out: Path, console: Console) -> bool:
    """Make all clips and save them under *out*; whether all of them got there."""
    console.print(f"Making {len(CLIPS)} clips on the embedded simulator, at {_SPEED:g} times the speed of life.")
    async with (
        Simulator(speed=_SPEED, seed=7) as sim,
        VeoApi(sim.api_key, base_url=sim.url) as api,
        Saver(base_url=sim.url) as saver,
    ):
        with board(console, list(CLIPS)) as show:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_make(api, saver, name, out, show)) for name in CLIPS]
        balance = (await api.credit()).balance
    saved = [done for task in tasks if (done := task.result())]
    _tell(console, saved, out, balance)
    return len(saved) == len(CLIPS)


async def _make(api: VeoApi, saver: Saver, name: str, out: Path, show: Show) -> SavedFile | None:
    """One clip from prompt to file; what went wrong is shown and disturbs no other."""
    try:
        task_id = await _submit(api, CLIPS[name])
        show(Row(name, Stage.RUNNING, task_id))
        record = await _wait(api, task_id, lambda looks: show(Row(name, Stage.RUNNING, f"{task_id}  look {looks}")))
        show(Row(name, Stage.READY, record.urls[0]))
        (saved,) = await saver.save(record.urls[:1], out, name=name, about={"task_id": task_id})
    except VeoError as error:
        show(Row(name, Stage.FAILED, str(error)))
        return None
    show(Row(name, Stage.SAVED, f"{saved.path} ({saved.size:,} bytes)"))
    return saved


async def _submit(api: VeoApi, request: VideoRequest) -> str:
    while True:
        try:
            return (await api.generate(request)).task_id
        except TryLater as error:
            await asyncio.sleep((error.retry_after or 10.0) / _SPEED)


async def _wait(api: VeoApi, task_id: str, looked: Callable[[int], None]) -> Record:
    for looks in itertools.count(1):
        await asyncio.sleep(_LOOK_EVERY_S / _SPEED)
        looked(looks)
        try:
            record = await api.record_info(task_id)
        except VeoError as error:
            if not error.retryable:
                raise
            continue
        if record.failure:
            raise record.failure.error(task_id=task_id)
        if record.state is TaskState.SUCCEEDED and record.urls:
            return record
    raise AssertionError  # count() never ends


def _tell(console: Console, saved: list[SavedFile], out: Path, balance: float) -> None:
    console.print(f"\n{len(saved)} of {len(CLIPS)} clips saved under {out}/, {balance:g} credits left.", soft_wrap=True)
    for clip in saved:
        console.print(f"  {clip.path}", soft_wrap=True)
    console.print("\nNext: veo-async simulator --speed 60   (a provider of your own to write against)", soft_wrap=True)
