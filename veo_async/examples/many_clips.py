"""Many clips from a list of prompts, one per line: as they come, with what became of each.

``python -m veo_async.examples.many_clips prompts.txt``; without a file it makes six of its own.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator

from veo_async import Done, Failed, InDoubt, Refused, VeoSession, VideoRequest

PROMPTS = """\
A dog surfing at dusk, slow motion
A paper boat with a lantern drifts through a flooded street at night
Steam curls from a cup of tea, macro, morning light
A fox listens, then dives head first into deep snow
An old projector starts; dust dances in its beam
An orange tree grows from seed to fruit in eight seconds
"""


def requests(lines: Iterable[str]) -> Iterator[VideoRequest]:
    """One request per line; read as they are needed, so the file may be of any length."""
    for line in lines:
        if prompt := line.strip():
            yield VideoRequest(prompt, model="veo3_fast", aspect_ratio="9:16")


async def make(lines: Iterable[str]) -> bool:
    """Make them all; whether every one came."""
    missing = 0
    async with VeoSession() as veo:
        async for outcome in veo.map(requests(lines)):
            match outcome:
                case Done(clip=clip):
                    print(f"ready     {clip.urls[0]}")
                    continue
                case Refused(key=key, reason=why):
                    print(f"refused   {key}: {why}")
                case Failed(key=key, error=error):
                    print(f"failed    {key}: {error}")
                case InDoubt(key=key, error=error):
                    print(f"in doubt  {key}: {error}")
            missing += 1
        print(f"{await veo.balance():g} credits left")
    return not missing


def main() -> None:
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8") as lines:
            sys.exit(not asyncio.run(make(lines)))
    sys.exit(not asyncio.run(make(PROMPTS.splitlines())))


if __name__ == "__main__":
    main()
