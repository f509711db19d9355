"""Half an emoji (a lone surrogate), from the provider or from the user, stops neither this session nor a later one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.internals import live_job_of
from veo_async import errors
from veo_async._ports import HttpRequest
from veo_async._runtime.job.outcome import Done, Failed, InDoubt, Refused
from veo_async._wire import HttpResponse
from veo_async.ledger import SqliteLedger
from veo_async.simulator import MemoryTransport
from veo_async.types import Job, RouteName

from .ledgers import InlineExecutor, session_with_ledger
from .support import memory, world

pytestmark = pytest.mark.veo_virtual_time

HALF = "\ud83d"
#: The last part of the URLs on each route.
CREATE_PATH = {"veo": "generate", "jobs": "createTask"}
RECORD_PATH = {"veo": "record-info", "jobs": "recordInfo"}
#: What stays as it is, so that the job has the outcome that is tested.
KEPT = ("http",)


def spoilt(value: Any) -> Any:
    """Return *value* with half an emoji in every text but URLs, and in every object as a name."""
    match value:
        case str() if not value.startswith(KEPT):
            return value + HALF
        case list():
            return [spoilt(item) for item in value]
        case dict():
            return {**{name: spoilt(item) for name, item in value.items()}, HALF: HALF}
        case _:
            return value


class Spoiling(MemoryTransport):
    """Spoils every text in the responses to one kind of request; task ids only with `spoils_ids`."""

    path = ""
    spoils_ids = False

    async def send(self, request: HttpRequest) -> HttpResponse:
        response = await super().send(request)
        if self.path not in request.url:
            return response
        body = json.loads(response.body)
        bad = spoilt(body)
        if not self.spoils_ids and isinstance(body.get("data"), dict) and "taskId" in body["data"]:
            bad["data"]["taskId"] = body["data"]["taskId"]
        return HttpResponse(status=response.status, headers=response.headers, body=json.dumps(bad).encode())


def sqlite(path: Path) -> SqliteLedger:
    return SqliteLedger(path / "veo.db", executor=InlineExecutor())


@pytest.mark.parametrize(
    ("paths", "prompt", "kind"),
    [
        (RECORD_PATH, "A dog", Done),
        (RECORD_PATH, "A dog [fail]", Failed),
        (CREATE_PATH, "A dog", Done),
        (CREATE_PATH, "A dog [refuse]", Refused),
    ],
)
async def test_text_of_the_provider_is_cleaned_and_stored(
    tmp_path: Path, paths: dict[str, str], prompt: str, kind: type, route: RouteName
) -> None:
    """Whatever the field, the job ends as it should, and the next session on the ledger reads it."""
    sim = memory(kind=Spoiling)
    sim.path = paths[route]  # type: ignore[attr-defined]
    async with session_with_ledger(sim, sqlite(tmp_path)) as veo:
        outcome = await (await veo.submit(prompt, key="dog")).finished()
        assert isinstance(outcome, kind)
    async with session_with_ledger(sim, sqlite(tmp_path)) as veo:
        again = await (await veo.submit(prompt, key="other")).finished()
        assert isinstance(again, kind)
        assert (await veo.ledger.find("dog")) is not None


async def test_task_id_with_half_an_emoji_is_a_doubt_that_survives(tmp_path: Path, route: RouteName) -> None:
    """The id cannot be right, so nothing is polled; the ledger has the job in doubt."""
    sim = memory(kind=Spoiling)
    sim.path, sim.spoils_ids = CREATE_PATH[route], True  # type: ignore[attr-defined]
    async with session_with_ledger(sim, sqlite(tmp_path)) as veo:
        assert isinstance(await (await veo.submit("A dog", key="dog")).finished(), InDoubt)
    async with session_with_ledger(sim, sqlite(tmp_path)) as veo:
        [job] = await veo.ledger.in_doubt()
        assert job.key == "dog"
        assert len(sim.requests_to()) == 1


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"request": f"A dog {HALF}"}, "prompt"),
        ({"key": HALF}, "key"),
        ({"tenant": HALF}, "tenant"),
        ({"save_to": f"{HALF}.mp4"}, "save_to"),
        ({"metadata": {"name": HALF}}, "metadata"),
        ({"image": f"https://a.example/{HALF}.png"}, "image_urls"),
        ({"image": f"{HALF}.png"}, "image"),
        ({"callback_url": f"https://a.example/{HALF}"}, "callback_url"),
        ({"watermark": HALF}, "watermark"),
        ({"model": HALF}, "model"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
@pytest.mark.parametrize("validate", [True, False])
async def test_text_of_the_user_is_refused_by_name(options: dict[str, Any], name: str, *, validate: bool) -> None:
    """Before anything is queued or sent, whether the request is validated or not."""
    async with world() as (veo, sim):
        with pytest.raises(errors.UsageError, match=f"{name}="):
            await veo.submit(**{"request": "A dog", "validate": validate, **options})
        assert len(sim.requests_to()) == 0
        job: Job = await veo.submit("A dog")
        assert isinstance(await job.finished(), Done)
        assert live_job_of(job).attempts == 1
