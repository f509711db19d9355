"""The web side of a bot in FastAPI: many users, one API key. Callbacks report finished clips; lost ones are polled.

``python -m veo_async.examples.fastapi_bot`` needs ``pip install fastapi uvicorn``, an API key, the address at which the
provider can reach it in PUBLIC_URL, and the credits it may spend in BUDGET. ``POST /clips?user=anna&prompt=…`` requests
a clip, ``GET /clips/KEY`` returns its state.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException

from veo_async import Done, VeoSession, errors
from veo_async.settings import Limits

PORT, BUDGET = int(os.environ.get("PORT", "8000")), float(os.environ.get("BUDGET", "3000"))
URL: str = os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{PORT}")
STATUSES = (errors.QueueFull, 429), (errors.BudgetExceeded, 402), (errors.UsageError, 422), (errors.VeoError, 503)
veo: VeoSession = VeoSession(ledger="bot.db", callbacks=URL, budget=BUDGET, limits=Limits(max_queued=20))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with veo:
        yield


app: FastAPI = FastAPI(lifespan=lifespan)
app.mount("/veo/cb", veo.callbacks.asgi())


@app.post("/clips")
async def submit_clip(user: str, prompt: str) -> dict[str, str]:
    """Put the request on the ledger and return its key; the session sends it when the rate limit allows."""
    try:
        return {"key": (await veo.submit(prompt, tenant=user, priority="interactive")).key}
    except errors.VeoError as error:
        raise HTTPException(next(code for kind, code in STATUSES if isinstance(error, kind)), error.message) from error


@app.get("/clips/{key}")
async def clip_state(key: str) -> dict[str, str | None]:
    """Return the job's state, with the clip's URL, the estimated time left, or the error."""
    if (job := await veo.ledger.find(key)) is None:
        raise HTTPException(404, "no such clip")
    match job.outcome:
        case Done(clip=clip):
            return {"state": job.state, "url": clip.urls[0]}
        case None:
            return {"state": job.state, "eta": f"{job.eta.p50:.0f} s" if job.eta else None}
        case failed:
            return {"state": job.state, "error": str(failed.error)}


if __name__ == "__main__":
    asyncio.run(uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="warning")).serve())
