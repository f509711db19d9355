"""Every argument of a session is checked when it is given: the error names it, its value and what is allowed."""

import inspect
import re
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import veo_async
import veo_async.events
import veo_async.models
import veo_async.session
import veo_async.settings
import veo_async.types
from tests.sessions import session_arguments
from veo_async import ExtendRequest, VeoApi, VeoSession, VideoRequest
from veo_async.errors import InvalidRequest, SessionClosed, UsageError
from veo_async.session import Account, SessionLedger
from veo_async.settings import Callbacks, Credits, Files, Limits, Network
from veo_async.simulator import MemoryTransport
from veo_async.sync import VeoSession as SyncSession
from veo_async.types import Job

KEY = "sk-0123456789abcdef"

WRONG_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"on_doubt": "retry"}, "on_doubt='retry': must be 'hold', 'resubmit'"),
    ({"max_in_flight": 0}, "max_in_flight=0: must be a whole number, 1 or more"),
    ({"max_in_flight": 2.5}, "max_in_flight=2.5"),
    ({"max_in_flight": True}, "max_in_flight=True"),
    ({"budget": -1.0}, "budget=-1.0"),
    ({"budget": "100"}, "budget='100'"),
    ({"account": ""}, "account=''"),
    ({"save_to": 7}, "save_to=7: must be the path of a file or a folder"),
    ({"ledger": 7}, "ledger=7: must be a file's path"),
    ({"ledger": ""}, "ledger=''"),
    ({"on_event": "print"}, "on_event='print': must be a function, called as on_event"),
    ({"limits": {"rate": (20, 10.0)}}, "limits={'rate': (20, 10.0)}: must be Limits"),
    ({"credits": 100}, "credits=100: must be Credits"),
    ({"files": None}, "files=None: must be Files"),
    ({"network": "proxy"}, "network='proxy': must be Network"),
    ({"account": "a\ud83d"}, "contains a lone surrogate"),
    ({"save_to": "\ud83d/"}, "contains a lone surrogate"),
    ({"ledger": "\ud83d.db"}, "contains a lone surrogate"),
    ({"callbacks": 80}, "callbacks=80: must be a public URL, or Callbacks"),
]


@pytest.mark.parametrize(("arguments", "text"), WRONG_ARGUMENTS, ids=lambda item: str(item)[:40])
def test_wrong_session_argument_is_rejected_by_name(arguments: dict[str, Any], text: str) -> None:
    """The constructor raises before anything is opened or sent."""
    with pytest.raises(UsageError) as raised:
        VeoSession(KEY, **arguments)
    assert text in str(raised.value)


WRONG_SETTINGS: list[tuple[type, dict[str, Any], str]] = [
    (Limits, {"rate": 20}, "rate=20: must be (requests, seconds), for example (20, 10.0)"),
    (Limits, {"rate": (0, 10.0)}, "rate=(0, 10.0)"),
    (Limits, {"rate": (2.5, 10.0)}, "rate=(2.5, 10.0)"),
    (Limits, {"explore": "yes"}, "explore='yes': must be True or False"),
    (Limits, {"knowledge": {}}, "knowledge={}: must be LearnedLimits"),
    (Limits, {"max_queued": -1}, "max_queued=-1: must be a whole number, 0 or more"),
    (Limits, {"polls_per_second": 0}, "polls_per_second=0: must be a positive number"),
    (Limits, {"poll_every": float("nan")}, "poll_every=nan: must be a positive number"),
    (Credits, {"min_balance": "100"}, "min_balance='100'"),
    (Credits, {"prices": {"veo3": 250}}, "prices="),
    (Files, {"max_downloads": 0}, "max_downloads=0: must be a whole number, 1 or more"),
    (Files, {"check_images": 1}, "check_images=1: must be True or False"),
    (Network, {"timeout": -1}, "timeout=-1: must be a positive number"),
    (Network, {"http": "session"}, "http='session': must be an aiohttp.ClientSession"),
    (Network, {"upload_url": ""}, "upload_url=''"),
    (Network, {"allow_insecure_http": 1}, "allow_insecure_http=1: must be True or False"),
]


@pytest.mark.parametrize(("kind", "fields", "text"), WRONG_SETTINGS, ids=lambda item: str(item)[:40])
def test_wrong_setting_is_rejected_by_name(kind: type, fields: dict[str, Any], text: str) -> None:
    """The settings object itself raises; the session never sees the value."""
    with pytest.raises(UsageError) as raised:
        kind(**fields)
    assert text in str(raised.value)


def test_wrong_callback_secret_is_rejected_without_showing_it() -> None:
    """Neither the error nor the repr contains a secret."""
    with pytest.raises(UsageError) as raised:
        Callbacks("https://me.example", secret=[b"hush"])  # type: ignore[list-item]  # the wrong type is the point
    assert "hush" not in str(raised.value)
    assert "hush" not in repr(Callbacks("https://me.example", secret="hush"))
    with pytest.raises(InvalidRequest, match="callbacks"):
        Callbacks("me.example")


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"priority": "high"}, "priority='high': must be one of 'interactive', 'batch'"),
    ({"priority": "bach"}, "did you mean 'batch'?"),
    ({"take": -1}, "take=-1"),
    ({"take": "2"}, "take='2'"),
    ({"key": ""}, "key=''"),
    ({"tenant": None}, "tenant=None: must be a string"),
    ({"send_within": 0}, "send_within=0: must be a positive number"),
    ({"save_to": ""}, "save_to=''"),
    ({"validate": "no"}, "validate='no': must be True or False"),
]


@pytest.mark.veo_virtual_time
@pytest.mark.parametrize(("options", "text"), WRONG_OPTIONS, ids=lambda item: str(item)[:40])
async def test_wrong_job_option_is_rejected_before_anything_is_queued(options: dict[str, Any], text: str) -> None:
    """`submit`, `generate`, `gather` and `map` raise immediately."""
    sim = MemoryTransport()
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        with pytest.raises(UsageError) as raised:
            await veo.submit("A dog", **options)
        assert text in str(raised.value)
        with pytest.raises(UsageError):
            await veo.generate("A dog", **options)
        with pytest.raises(UsageError):
            await veo.gather(
                "A dog", **{name: value for name, value in options.items() if name != "key"} or {"take": -1}
            )
        assert veo.jobs() == []
    assert not sim.charges


@pytest.mark.veo_virtual_time
async def test_common_mistakes_say_what_to_write() -> None:
    """One prompt for `map`, a list for `gather`, a job where a clip is needed: each error shows the right call."""
    sim = MemoryTransport()
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        with pytest.raises(UsageError, match=r"requests='hello': must be several requests.*generate"):
            veo.map("hello")
        with pytest.raises(UsageError, match=r"gather\(\*requests\)"):
            await veo.gather(["a", "b"])  # type: ignore[arg-type]  # the wrong type is the point
        with pytest.raises(UsageError, match="buffersize=0"):
            veo.map(["a"], buffersize=0)
        with pytest.raises(UsageError, match="modle"):
            veo.map(["a"], modle="veo3")  # type: ignore[call-arg]  # a misspelled option
        with pytest.raises(UsageError, match="then='8k'"):
            veo.map(["a"], then="8k")
        with pytest.raises(UsageError, match="ordered=1"):
            veo.map(["a"], ordered=1)  # type: ignore[arg-type]  # the same
        with pytest.raises(UsageError, match=r"async for outcome in veo\.map"):
            for _ in veo.map(["a"]):
                pass
        job = await veo.submit("A dog")
        with pytest.raises(UsageError, match="pass `await job`"):
            await veo.save(job, "dog.mp4")  # type: ignore[arg-type]  # the same
        with pytest.raises(UsageError, match="pass `await job`"):
            await veo.upgrade(job)  # type: ignore[arg-type]  # the same
        with pytest.raises(UsageError, match="no job with key 'unknown'"):
            await veo.attach("unknown")
        with pytest.raises(UsageError, match="state='done': must be one of"):
            veo.jobs("done")
        with pytest.raises(UsageError, match="max_in_flight=0"):
            veo.account.resize(0)
        with pytest.raises(UsageError, match="weight=0"):
            veo.account.configure_tenant("anna", weight=0)
        with pytest.raises(UsageError, match="older_than=30: must be a timedelta"):
            await veo.ledger.prune(30)  # type: ignore[arg-type]  # the wrong type is the point
        with pytest.raises(UsageError, match="older_than=0"):
            await veo.ledger.prune(timedelta(0))
        with pytest.raises(UsageError, match=r"state='done': must be one of 'queued', .*"):
            veo.ledger.jobs("done")
        with pytest.raises(UsageError, match="limit=0: must be a whole number, 1 or more"):
            veo.ledger.jobs(limit=0)
        with pytest.raises(UsageError, match=r"since=.*: must have a time zone"):
            veo.ledger.jobs(since=datetime(2026, 11, 1))  # noqa: DTZ001  # the missing time zone is the point
        with pytest.raises(UsageError, match="since='2h': must be a datetime"):
            await veo.ledger.counts(since="2h")  # type: ignore[arg-type]  # the same
        assert len(veo.jobs()) == 1
    assert len(sim.charges) <= 1


NOT_SEVERAL = [
    "A dog",
    b"A dog",
    bytearray(b"A dog"),
    VideoRequest("A dog"),
    {"prompt": "A dog"},
    Path("list.txt"),
    None,
    5,
]


@pytest.mark.veo_virtual_time
@pytest.mark.parametrize("requests", NOT_SEVERAL, ids=repr)
async def test_what_is_not_several_requests_is_rejected_by_map_and_gather(requests: Any) -> None:
    """Nothing is sent: a dict, for example, would be read as a list of its keys."""
    sim = MemoryTransport()
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        with pytest.raises(UsageError, match=r"^requests=.*: must be several requests.*generate\(\)"):
            veo.map(requests)
        if not isinstance(requests, str | VideoRequest):
            with pytest.raises(UsageError, match=r"^request=.*: must be a prompt or a request"):
                await veo.submit(requests)
            with pytest.raises(UsageError, match=r"^request=.*: must be a prompt or a request"):
                veo.account.estimate(requests)
            [outcome] = [outcome async for outcome in veo.map([requests])]
            assert "must be a prompt or a request" in str(outcome)
            if isinstance(requests, Iterable):
                with pytest.raises(UsageError, match=r"^requests=.*: must be a prompt or a request"):
                    await veo.gather(requests)
        assert veo.jobs() == []
    assert not sim.requests
    with SyncSession(KEY) as blocking, pytest.raises(UsageError, match="must be several requests"):
        blocking.map(requests)


@pytest.mark.veo_virtual_time
@pytest.mark.parametrize("requests", [["a", "b"], ("a",), {"a"}, iter("ab")], ids=["list", "tuple", "set", "iterator"])
async def test_list_passed_to_gather_says_how_to_pass_it(requests: Any) -> None:
    """The list would otherwise be one request."""
    sim = MemoryTransport()
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        with pytest.raises(UsageError, match=r"pass a list as gather\(\*requests\)"):
            await veo.gather(requests)
        with pytest.raises(UsageError, match=r"For several, use map\(\)"):
            await veo.submit(requests)
    assert not sim.requests


def test_plain_with_says_what_to_write() -> None:
    """`with VeoSession()` names the two ways that work."""
    with pytest.raises(UsageError, match=r"async with VeoSession\(\).*veo_async.sync"), VeoSession(KEY):
        pass


def test_synchronous_session_checks_the_same_arguments() -> None:
    """It passes them on to the asynchronous one."""
    with pytest.raises(UsageError, match="max_in_flight=0"):
        SyncSession(KEY, max_in_flight=0)
    with SyncSession(KEY) as veo, pytest.raises(UsageError, match="must be several requests"):
        veo.map("hello")


MISSPELLED = [
    ({"modle": "veo3"}, "modle='…': is not an option. Did you mean model?"),
    ({"prioriti": "batch"}, "Did you mean priority?"),
    ({"tennant": "anna"}, "Did you mean tenant?"),
    ({"fps": 24}, "fps='…': is not an option. Use one of image, image_urls"),
]


@pytest.mark.veo_virtual_time
@pytest.mark.parametrize(("options", "text"), MISSPELLED, ids=str)
@pytest.mark.parametrize("request_", ["A dog", VideoRequest("A dog"), ExtendRequest("t-1", "A dog")])
async def test_misspelled_option_names_the_nearest_one(request_: Any, options: dict[str, Any], text: str) -> None:
    """Whether it belongs to the request or to the job, and with a prompt as well as with a whole request."""
    sim = MemoryTransport()
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        for call in (veo.submit, veo.generate, veo.gather):
            with pytest.raises(InvalidRequest, match=re.escape(text)):
                await call(request_, **options)  # type: ignore[operator]  # the arguments are the point
        with pytest.raises(InvalidRequest, match=re.escape(text)):
            veo.map([request_], **options)
        with pytest.raises(InvalidRequest, match="is not an option"):
            veo.account.estimate(request_, **options)
    assert not sim.requests


NOT_NEWER: list[tuple[str, dict[str, Any]]] = [
    (" ", {}),
    ("A dog", {"seeds": 1}),
    ("A dog", {"image": "missing.png"}),
    ("A dog", {"modle": "veo3"}),
    ("A dog", {"model": ""}),
    ("A dog", {"validate": False, "image": "missing.png"}),
    ("A dog", {"validate": False, "modle": "veo3"}),
    ("A dog", {"validate": False, "seeds": "5"}),
]


@pytest.mark.veo_virtual_time
@pytest.mark.parametrize(("prompt", "options"), NOT_NEWER, ids=repr)
async def test_hint_at_newer_values_appears_only_where_it_helps(prompt: str, options: dict[str, Any]) -> None:
    """An empty prompt does not become valid with a newer version, and `validate=False` cannot be given twice."""
    sim = MemoryTransport()
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        with pytest.raises(InvalidRequest) as caught:
            await veo.submit(prompt, **options)
        assert "validate=False" not in str(caught.value)
        with pytest.raises(InvalidRequest, match=r"pass validate=False\.$"):
            await veo.submit("A dog", model="veo9")


async def test_call_without_async_with_says_what_to_write() -> None:
    """The session was never opened, so another one would not help."""
    veo = VeoSession(KEY)
    calls: list[Callable[[], Any]] = [
        lambda: veo.submit("A dog"),
        lambda: veo.generate("A dog"),
        lambda: veo.gather("A dog"),
        lambda: veo.map(["A dog"]),
        lambda: veo.upgrade("task"),
        lambda: veo.extend("task", "on"),
        lambda: veo.attach("key"),
        lambda: veo.upload("https://a.example/cat.png"),
        lambda: veo.drain(),
        lambda: veo.job("key"),
        lambda: veo.account.balance(),
        lambda: veo.account.resize(5),
        lambda: veo.ledger.find("key"),
        lambda: veo.ledger.recovered,
        lambda: veo.callbacks.hint("token", "task"),
        veo.stop_sending,
        veo.statistics,
    ]
    for call in calls:
        with pytest.raises(SessionClosed) as caught:  # noqa: PT012  # some calls raise at once, the others when awaited
            result = call()
            if inspect.isawaitable(result):
                await result
        assert str(caught.value) == "the session is not open. Write `async with VeoSession() as veo:` around the calls."
    assert veo.jobs() == []
    await veo.close()


@pytest.mark.parametrize("kind", [VeoSession, SyncSession, VeoApi, Limits, Credits, Files, Network])
def test_repr_of_an_object_whose_constructor_failed_does_not_raise(kind: type) -> None:
    """Tracebacks with the values of variables show it."""
    assert kind.__name__ in repr(kind.__new__(kind)) or "veo_async.sync" in repr(kind.__new__(kind))


def test_traceback_of_a_failed_constructor_can_show_its_values() -> None:
    """As in an error tracker."""
    with pytest.raises(UsageError) as caught:
        VeoSession(KEY, max_in_flight=0)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    assert "not constructed" in "".join(shown)


def test_session_takes_at_most_fifteen_arguments() -> None:
    """Eleven of its own and four settings objects."""
    assert len(inspect.signature(VeoSession.__init__).parameters) - 1 <= 15


@pytest.mark.parametrize(
    "kind", [VeoSession, Account, SessionLedger, Job, SyncSession], ids=lambda kind: kind.__module__
)
def test_signatures_in_help_fit_on_a_screen(kind: type) -> None:
    """Eight lines of 80 columns at most: short names of types, and defaults without what is usual."""
    functions = inspect.getmembers(kind, inspect.isfunction)
    long = {name: len(str(inspect.signature(function))) for name, function in functions if not name.startswith("__")}
    assert {name for name, length in long.items() if length > 640} == set()
    assert len(str(inspect.signature(kind))) <= 640


def test_repr_of_settings_shows_only_what_differs_from_the_defaults() -> None:
    """So that it fits into signatures and logs."""
    assert repr(Limits()) == "Limits()"
    assert repr(Limits(poll_every=5.0, rate=(60, 10.0))) == "Limits(rate=(60, 10.0), poll_every=5.0)"
    assert repr(Credits(min_balance=500)) == "Credits(min_balance=500)"
    assert (repr(Files(max_downloads=4)), repr(Network())) == ("Files()", "Network()")


def test_sub_objects_and_methods_are_few() -> None:
    """A reader finds them all in one screen of `help`."""
    methods = {name for name, _ in inspect.getmembers(VeoSession, inspect.isfunction) if not name.startswith("_")}
    assert methods == {
        *("generate", "submit", "map", "gather", "extend", "upgrade", "save", "upload"),
        *("job", "jobs", "attach", "drain", "stop_sending", "statistics", "close"),
    }


def public_classes() -> list[type]:
    """Return every attrs class that users can import from a public module."""
    modules = [veo_async.events, veo_async.types, veo_async.settings, veo_async.session, veo_async.models]
    exported = [getattr(module, name) for module in modules for name in module.__all__]
    kinds = {value for value in exported if isinstance(value, type) and hasattr(value, "__attrs_attrs__")}
    return sorted(kinds, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", public_classes(), ids=lambda kind: kind.__name__)
def test_fields_of_public_classes_are_documented_in_help(kind: Any) -> None:
    """`help()` and the editor show what each field means."""
    documented = inspect.getdoc(kind) or ""
    names = [field.name for field in kind.__attrs_attrs__ if not field.name.startswith("_")]
    assert [name for name in names if f"{name}:" not in documented] == []
