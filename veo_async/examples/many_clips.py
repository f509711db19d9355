"""Generate a clip for each line of a file and print every outcome as it arrives.

``python -m veo_async.examples.many_clips prompts.txt``; without a file it uses six built-in prompts.
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
    """Yield a request per line. The session reads them as it needs them, so the file may have any length."""
    for line in lines:
        if prompt := line.strip():
            yield VideoRequest(prompt, model="veo3_fast", aspect_ratio="9:16")


async def generate_all(lines: Iterable[str]) -> bool:
    """Generate a clip for each line; return whether all of them succeeded."""
    unsuccessful = 0
    async with VeoSession() as veo:
        async for outcome in veo.map(requests(lines)):
            match outcome:
                case Done(clip=clip):
                    print(f"ready     {clip.urls[0]}")
                    continue
                case Refused(key=key, reason=reason):
                    print(f"refused   {key}: {reason}")
                case Failed(key=key, reason=reason):
                    print(f"failed    {key}: {reason}")
                case InDoubt(key=key, reason=reason):
                    print(f"in doubt  {key}: {reason}")
            unsuccessful += 1
        print(f"{await veo.account.balance():,.0f} credits left")
    return not unsuccessful


def main() -> None:
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8") as lines:
            sys.exit(not asyncio.run(generate_all(lines)))
    sys.exit(not asyncio.run(generate_all(PROMPTS.splitlines())))


if __name__ == "__main__":
    main()
