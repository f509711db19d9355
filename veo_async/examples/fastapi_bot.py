"""The web side of a bot in FastAPI: many users on one key, told by callbacks, and by looks where callbacks get lost.

``python -m veo_async.examples.fastapi_bot`` needs ``pip install fastapi uvicorn``, a key, and in PUBLIC_URL the address
under which the provider reaches it. ``POST /clips?user=anna&prompt=…`` asks for a clip, ``GET /clips/KEY`` tells of it.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException

from veo_async import Done, VeoSession

PORT: int = int(os.environ.get("PORT", "8000"))

veo: VeoSession = VeoSession(ledger="bot.db", public_url=os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{PORT}"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with veo:
        yield


app: FastAPI = FastAPI(lifespan=lifespan)
app.mount("/veo/cb", veo.asgi())


@app.post("/clips")
async def ask(user: str, prompt: str) -> dict[str, str]:
    """Answers at once; the clip is asked for in its turn."""
    job = await veo.submit(prompt, tenant=user, priority="interactive")
    return {"key": job.key}


@app.get("/clips/{key}")
async def tell(key: str) -> dict[str, str | None]:
    """Where a clip stands, and its address once it is there."""
    job = await veo.find(key)
    if job is None:
        raise HTTPException(404, "no such clip")
    match job.outcome:
        case Done(clip=clip):
            return {"state": job.state, "url": clip.urls[0]}
        case None:
            return {"state": job.state, "eta": f"{job.eta.p50:.0f} s" if job.eta else None}
        case ended:
            return {"state": job.state, "error": str(ended.error)}


if __name__ == "__main__":
    asyncio.run(uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="warning")).serve())
