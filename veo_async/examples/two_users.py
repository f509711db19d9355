"""Two users of one bot on one key: Anna has a batch of thirty, Boris asks for one clip and is told how it stands.

Each user is a tenant: they share the account, and nobody's batch stands in anybody's way. What is asked for in a chat
is *interactive* and goes before batch work. ``python -m veo_async.examples.two_users``
"""

import asyncio

from veo_async import Done, Job, VeoSession
from veo_async.events import Paused, Queued, Ready, Running, Sent

BATCH = 30


async def answer(user: str, job: Job) -> None:
    """What a chat would show; a bot would edit one message instead of printing lines."""
    async for event in job.events():
        match event:
            case Queued(position=ahead, eta=eta):
                print(f"{user}: {ahead} before you, about {eta.p50:.0f} s")
            case Sent():
                print(f"{user}: on its way")
            case Running(eta=eta):
                print(f"{user}: being made, about {eta.p50:.0f} s, hardly more than {eta.p90:.0f} s")
            case Paused(reason=reason):
                print(f"{user}: waiting ({reason})")
            case Ready(clip=clip):
                print(f"{user}: {clip.urls[0]}")
            case _:
                print(f"{user}: {event}")


async def batch_of(user: str, veo: VeoSession) -> None:
    """A long batch; only how many came is shown."""
    prompts = [f"A lighthouse in storm number {number}" for number in range(1, BATCH + 1)]
    came = [outcome async for outcome in veo.map(prompts, tenant=user)]
    print(f"{user}: {sum(isinstance(outcome, Done) for outcome in came)} of {BATCH} are ready")


async def main() -> None:
    async with VeoSession() as veo, asyncio.TaskGroup() as chats:
        veo.tenant("anna", weight=1.0, max_queued=200)
        chats.create_task(batch_of("anna", veo))
        await asyncio.sleep(3)  # her batch is well under way when Boris comes
        job = await veo.submit("A dog surfing at dusk", tenant="boris", priority="interactive")
        chats.create_task(answer("boris", job))


if __name__ == "__main__":
    asyncio.run(main())
