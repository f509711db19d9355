"""Two users of one bot share an API key: Anna runs a batch of thirty, Boris wants one clip and sees its progress.

Each user is a tenant: tenants share the account, and no user's batch blocks another user. A request from a chat is
*interactive* and is sent before batch work. ``python -m veo_async.examples.two_users``
"""

import asyncio

from veo_async import Done, Job, VeoSession
from veo_async.events import Paused, Queued, Ready, Running, Sent

BATCH = 30


async def show_progress(user: str, job: Job) -> None:
    """Print what a chat would show; a bot would edit one message instead of printing lines."""
    async for event in job.events():
        match event:
            case Queued(position=position, eta=eta):
                print(f"{user}: queued, {position} ahead, about {eta.p50:.0f} s")
            case Sent():
                print(f"{user}: sent")
            case Running(eta=eta):
                print(f"{user}: generating, about {eta.p50:.0f} s (at most {eta.p90:.0f} s in 9 of 10 cases)")
            case Paused(reason=reason):
                print(f"{user}: paused ({reason})")
            case Ready(clip=clip):
                print(f"{user}: {clip.urls[0]}")
            case _:
                print(f"{user}: {event}")


async def run_batch(user: str, veo: VeoSession) -> None:
    """Generate a long batch and print how many clips are ready."""
    prompts = [f"A lighthouse in storm number {number}" for number in range(1, BATCH + 1)]
    outcomes = [outcome async for outcome in veo.map(prompts, tenant=user)]
    print(f"{user}: {sum(isinstance(outcome, Done) for outcome in outcomes)} of {BATCH} are ready")


async def main() -> None:
    async with VeoSession() as veo, asyncio.TaskGroup() as chats:
        veo.account.configure_tenant("anna", weight=1.0, max_queued=200)
        chats.create_task(run_batch("anna", veo))
        await asyncio.sleep(3)  # her batch is in progress when Boris arrives
        job = await veo.submit("A dog surfing at dusk", tenant="boris", priority="interactive")
        chats.create_task(show_progress("boris", job))


if __name__ == "__main__":
    asyncio.run(main())
