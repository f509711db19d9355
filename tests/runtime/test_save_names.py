"""How files are named: by default from the prompt, or by a template."""

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sessions import session_arguments
from veo_async import Clip, Done, ExtendRequest, Refused, VeoSession, errors, sync
from veo_async._session import targets
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.simulator import Simulator

pytestmark = pytest.mark.realtime

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def on(sim: Simulator, **options: Any) -> VeoSession:
    return VeoSession(sim.api_key, **session_arguments(base_url=sim.url, poll_every=0.1, **options))


def videos(folder: Path) -> list[str]:
    """Return the paths of all videos below *folder*."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4"))


# --- default names ------------------------------------------------------------------------------------------------


async def test_clip_without_a_key_is_named_after_its_prompt(tmp_path: Path) -> None:
    """Followed by the first digits of its key; a key that the caller chose is the name itself."""
    async with Simulator(duration_s=0.1) as sim, on(sim, save_to=tmp_path) as veo:
        dog = await veo.generate("A dog surfing at dusk")
        other = await veo.generate("A dog surfing at dusk", take=2)
        cat = await veo.generate("Eine Katze über dem Fluß")
        await veo.generate("A fox", key="fox")
    assert videos(tmp_path) == sorted(
        [
            f"a-dog-surfing-at-dusk-{dog.key[:6]}.mp4",
            f"a-dog-surfing-at-dusk-{other.key[:6]}.mp4",
            f"eine-katze-über-dem-fluß-{cat.key[:6]}.mp4",
            "fox.mp4",
        ]
    )


async def test_second_run_finds_the_file_by_its_name_and_pays_and_downloads_nothing(tmp_path: Path) -> None:
    """The name depends on the job alone: with another session on the ledger, and with `save` later."""
    ledger = tmp_path / "veo.db"
    async with Simulator(duration_s=0.1) as sim:
        async with on(sim, ledger=SqliteLedger(ledger), save_to=tmp_path) as veo:
            first = await veo.generate("Собака на закате")
        async with on(sim, ledger=SqliteLedger(ledger), save_to=tmp_path) as veo:
            again = await veo.generate("Собака на закате")
            assert (await veo.save(again, tmp_path)).files == again.files == first.files
        assert (len(sim.requests_to()), len(sim.requests_to("download"))) == (1, 1)
    assert videos(tmp_path) == [f"собака-на-закате-{first.key[:6]}.mp4"]


@pytest.mark.slow  # an upgrade is polled every 30 seconds
async def test_follow_ups_are_named_after_the_first_prompt(tmp_path: Path) -> None:
    """An upgrade has no prompt of its own; the session, `then=` and a later session agree on the name."""
    ledger = MemoryLedger()
    async with Simulator(duration_s=0.1) as sim:
        async with on(sim, ledger=ledger) as veo:
            clip = await veo.generate("A dog surfing", then=[ExtendRequest(prompt="It swims"), "4k"], save_to=tmp_path)
            large = await veo.upgrade(clip.history[0].key, "1080p", save_to=tmp_path / "{slug}.mp4")
        root = clip.history[0].key
        assert [item.prompt for item in clip.history] == ["A dog surfing", "It swims", ""]
        assert clip.files == (tmp_path / f"a-dog-surfing-{root[:6]}{clip.key[20:]}.mp4",)
        assert large.files == (tmp_path / "a-dog-surfing.mp4",)
        async with on(sim, ledger=ledger) as veo:
            found = await (await veo.attach(clip.key))
            assert (await veo.save(found, tmp_path)).files == clip.files
            await veo.save(found, tmp_path / "{slug}-{model}-{id}.mp4")
    assert len([name for name in videos(tmp_path) if name.startswith("a-dog-surfing-veo3_fast-")]) == 1


async def test_clips_of_one_name_in_one_folder_are_numbered_and_found_again(tmp_path: Path) -> None:
    """Another clip has the name already, as after a copied folder: neither replaces the other."""
    async with Simulator(duration_s=0.1) as sim:
        async with on(sim) as veo:
            first = await veo.generate("A dog", save_to=tmp_path)
        async with on(sim) as veo:  # without a ledger the same key is another task
            for _ in range(2):
                second = await veo.generate("A dog", save_to=tmp_path)
        assert len(sim.requests_to("download")) == 2
    assert videos(tmp_path) == [f"a-dog-{first.key[:6]}-2.mp4", f"a-dog-{first.key[:6]}.mp4"]
    assert second.files[0].name.endswith("-2.mp4")


# --- templates ----------------------------------------------------------------------------------------------------


Call = Callable[[VeoSession, Clip, Path], Any]

CALLS: dict[str, Call] = {
    "generate": lambda veo, _, path: veo.generate("A dog", image=PNG, save_to=path),
    "submit": lambda veo, _, path: veo.submit("A dog", image=PNG, save_to=path),
    "map": lambda veo, _, path: veo.map(["A dog"], save_to=path),
    "gather": lambda veo, _, path: veo.gather("A dog", save_to=path),
    "extend": lambda veo, clip, path: veo.extend(clip, "It jumps", save_to=path),
    "upgrade": lambda veo, clip, path: veo.upgrade(clip, save_to=path),
    "save": lambda veo, clip, path: veo.save(clip, path),
}


@pytest.mark.parametrize("name", CALLS)
async def test_wrong_placeholder_is_refused_immediately_by_every_call(name: str, tmp_path: Path) -> None:
    """Nothing is sent, not even an image, and the error names the placeholder and the valid ones."""
    message = r"\{slag\} is not a placeholder \(did you mean \{slug\}\?\); use \{key\}, "
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        clip = await veo.generate("A cat", key="cat")
        sent = len(sim.requests)
        with pytest.raises(errors.UsageError, match=message):
            await CALLS[name](veo, clip, tmp_path / "{slag}.mp4")
        assert len(sim.requests) == sent
    assert videos(tmp_path) == []


async def test_template_names_every_clip_of_a_map(tmp_path: Path) -> None:
    """Numbers follow the order of the requests, whatever the order of the outcomes."""
    prompts = ["A dog", "Eine Möwe", "A fox"]
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        async for outcome in veo.map(prompts, save_to=tmp_path / "clips" / "{n:03}-{slug}.mp4"):
            assert isinstance(outcome, Done)
        await veo.gather("An owl", "A bee", save_to=f"{tmp_path}/{{model}}/{{n}}.mp4", model="veo3_lite")
    assert videos(tmp_path) == [
        "clips/001-a-dog.mp4",
        "clips/002-eine-möwe.mp4",
        "clips/003-a-fox.mp4",
        "veo3_lite/1.mp4",
        "veo3_lite/2.mp4",
    ]


async def test_map_without_await_numbers_its_requests_too(tmp_path: Path) -> None:
    """Each request of the synchronous session is submitted on its own, and has its number nevertheless."""
    async with Simulator(duration_s=0.1) as sim:
        await asyncio.to_thread(_map_synchronously, sim, tmp_path)
    assert videos(tmp_path) == ["001.mp4", "002.mp4"]


def _map_synchronously(sim: Simulator, folder: Path) -> None:
    with sync.VeoSession(sim.api_key, **session_arguments(base_url=sim.url, poll_every=0.1)) as veo:
        list(veo.map(["A dog", "A fox"], save_to=folder / "{n:03}.mp4"))
        with pytest.raises(errors.UsageError, match="not a placeholder"):
            list(veo.map(["A dog"], save_to=folder / "{x}.mp4"))


async def test_number_of_a_single_request_is_an_error(tmp_path: Path) -> None:
    """Neither one request nor the session's default has one."""
    async with Simulator() as sim, on(sim) as veo:
        with pytest.raises(errors.UsageError, match=r"save_to=.*have a number for \{n\}; use \{key\}"):
            await veo.generate("A dog", save_to=tmp_path / "{n}.mp4")
        assert sim.requests_to() == ()
    with pytest.raises(errors.UsageError, match=r"save_to=.*have a number"):
        VeoSession("kie_0123456789abcdef", save_to=tmp_path / "{n}-{id}.mp4")


async def test_two_requests_of_a_map_with_one_target_are_refused(tmp_path: Path) -> None:
    """The second one has the same words; its clip would replace the first."""
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        outcomes = await veo.gather("A dog", "A dog!", save_to=tmp_path / "{slug}.mp4")
        assert [type(outcome) for outcome in outcomes] == [Done, Refused]
        assert "another file has this name" in str(outcomes[1])
        assert len(sim.requests_to()) == 1
    assert videos(tmp_path) == ["a-dog.mp4"]


async def test_first_request_of_a_map_gets_the_name_even_if_its_check_takes_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests are stored together, but their names are reserved in their order."""
    parse, calls = targets._parse, itertools.count()

    def slow_at_first(path: Any) -> Any:
        if next(calls) == 0:
            time.sleep(0.1)
        return parse(path)

    monkeypatch.setattr(targets, "_parse", slow_at_first)
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        outcomes = await veo.gather("A dog", "A dog!", save_to=tmp_path / "{slug}.mp4")
    assert [type(outcome) for outcome in outcomes] == [Done, Refused]


async def test_default_template_of_a_session_names_all_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is relative to the folder in which the session was made, also for jobs that it takes over."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    ledger = MemoryLedger()
    async with Simulator(duration_s=0.3) as sim:
        async with on(sim, ledger=ledger) as veo:
            running = await veo.submit("An owl")
            await running.accepted()
        later = on(sim, ledger=ledger, save_to="clips/{slug}-{id}.mp4")
        monkeypatch.chdir(tmp_path / "elsewhere")
        async with later as veo:
            dog = await veo.generate("A dog")
            await veo.drain()
    assert videos(tmp_path) == [f"clips/a-dog-{dog.key[:6]}.mp4", f"clips/an-owl-{running.key[:6]}.mp4"]


def test_default_template_needs_a_part_that_differs_for_each_clip(tmp_path: Path) -> None:
    """Two takes of one prompt have the same slug."""
    with pytest.raises(errors.UsageError, match=r"save_to=.*must contain \{key\} or \{id\}"):
        VeoSession("kie_0123456789abcdef", save_to=tmp_path / "{slug}.mp4")
    with pytest.raises(errors.UsageError, match=r"save_to=.*does not exist"):
        VeoSession("kie_0123456789abcdef", save_to=tmp_path / "no" / "such" / "{id}.mp4")


async def test_target_on_the_ledger_is_the_filled_template(tmp_path: Path) -> None:
    """A restart saves to the same path, whatever the template of the later session is."""
    ledger = MemoryLedger()
    async with Simulator(duration_s=0.3) as sim:
        async with on(sim, ledger=ledger) as veo:
            await (await veo.submit("A dog", key="../dog", save_to=tmp_path / "{slug}-{key}.mp4")).accepted()
        async with on(sim, ledger=ledger, save_to=tmp_path / "other-{id}.mp4") as veo:
            clip = await (await veo.attach("../dog"))
    assert clip.files == tuple(tmp_path.glob("a-dog-_dog-*.mp4")) != ()
    assert len(videos(tmp_path)) == 1


async def test_file_keeps_its_number_when_a_request_is_inserted_before_it(tmp_path: Path) -> None:
    """The second run has one more request at the beginning: it gets a file, and nothing is downloaded again."""
    ledger, target = MemoryLedger(), tmp_path / "{n:03}-{slug}.mp4"
    async with Simulator(duration_s=0.1) as sim:
        for prompts in (["A dog", "A fox"], ["An owl", "A dog", "A fox"]):
            async with on(sim, ledger=ledger) as veo:
                assert all(isinstance(outcome, Done) for outcome in await veo.gather(*prompts, save_to=target))
        assert len(sim.requests_to("download")) == 3
    assert videos(tmp_path) == ["001-a-dog.mp4", "001-an-owl.mp4", "002-a-fox.mp4"]


async def test_name_that_is_too_long_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """The file system would refuse it only after the clip was paid for."""
    async with Simulator() as sim, on(sim) as veo:
        with pytest.raises(errors.UsageError, match="must not be longer than 240 bytes"):
            await veo.generate("собака " * 20, key="k" * 90, save_to=tmp_path / "{slug}-{key}-{slug}.mp4")
        assert sim.requests_to() == ()


async def test_doubled_brace_is_a_literal_one(tmp_path: Path) -> None:
    """In a file name and in that of a folder."""
    (tmp_path / "{a}").mkdir()
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        await veo.generate("A dog", save_to=f"{tmp_path}/{{{{a}}}}/{{{{dog}}}}.mp4")
        await veo.generate("A fox", key="fox", save_to=f"{tmp_path}/{{{{a}}}}/")
    assert videos(tmp_path) == ["{a}/fox.mp4", "{a}/{dog}.mp4"]
