"""The arguments of `VeoSession` and of its calls: their types, and their checks before anything is opened or sent."""

import os
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, get_args

from veo_async._base.checks import (
    check_callable,
    check_choice,
    check_count,
    check_encodable_text,
    check_flag,
    check_instance,
    check_positive,
    check_text,
    reject,
)
from veo_async._base.windows_names import path_problem
from veo_async._rules.credits.prices import validate_credits
from veo_async._rules.queue.fair_queue import Priority
from veo_async._runtime.hooks import Hook
from veo_async._runtime.in_doubt.handler import OnDoubt
from veo_async._runtime.job.follow_ups import FollowUp
from veo_async._wire import JOBS, Dialect
from veo_async._wire.converter import unknown_options
from veo_async._wire.requests import VideoOptions
from veo_async.errors import InvalidRequest, Problem, UnsupportedByProvider
from veo_async.ledger import as_ledger
from veo_async.media.targets import parse_folder, parse_target
from veo_async.media.templates import NumberedPath, PathTemplate, is_template, numbered, parse_template
from veo_async.settings import ROUTE_VARIABLE, Budget, Callbacks, Credits, Files, Limits, Network, route_from

from .parts import Options

#: What ``on_doubt=`` accepts besides a function.
_DOUBT_POLICIES = ("hold", "resubmit")


class JobOptions(VideoOptions, total=False):
    """The keyword arguments that every call takes which submits requests."""

    take: int
    tenant: str
    priority: Priority
    metadata: Any
    send_within: float | None
    save_to: str | PathLike[str] | None
    then: FollowUp | Sequence[FollowUp]
    validate: bool


#: The names of those options that are not part of a request.
JOB_OPTIONS = frozenset(JobOptions.__annotations__) - frozenset(VideoOptions.__annotations__)
#: File systems allow 255. A second video has a number, and the ending of a sidecar is longer than that of a video.
_MAX_NAME_BYTES = 240
_KNOWN_OPTIONS = (*VideoOptions.__annotations__, *sorted(JOB_OPTIONS))


def checked_options(
    *,
    ledger: Any,
    account: str | None,
    max_in_flight: int,
    save_to: str | PathLike[str] | None,
    budget: float | Budget | None,
    callbacks: str | Callbacks | None,
    on_doubt: OnDoubt,
    on_event: Hook | None,
    limits: Limits,
    credits: Credits,
    files: Files,
    network: Network,
) -> Options:
    """Return the session's arguments, checked.

    Raises:
        UsageError: an argument is wrong; the error names it, its value and what is allowed.
    """
    if account is not None:
        check_text("account", account)
    check_count("max_in_flight", max_in_flight)
    if budget is not None and not isinstance(budget, Budget):
        validate_credits("budget", budget)
    if not callable(on_doubt) and on_doubt not in _DOUBT_POLICIES:
        reject("on_doubt", on_doubt, "must be 'hold', 'resubmit' or an async function that returns one of them")
    if on_event is not None:
        check_callable("on_event", on_event, "on_event(event)")
    for name, value, kind in (
        ("limits", limits, Limits),
        ("credits", credits, Credits),
        ("files", files, Files),
        ("network", network, Network),
    ):
        check_instance(name, value, kind, f"{kind.__name__}(…) from veo_async.settings")
    return Options(
        ledger=_checked_ledger(ledger),
        account=account,
        max_in_flight=max_in_flight,
        save_to=_checked_default(save_to),
        budget=budget,
        callbacks=Callbacks(callbacks) if isinstance(callbacks, str) else _checked_callbacks(callbacks),
        on_doubt=on_doubt,
        on_event=on_event,
        limits=limits,
        credits=credits,
        files=files,
        network=network,
        route=network.route or route_from(os.environ),
    )


def check_route(options: Options, dialect: Dialect) -> None:
    """Check that the provider has the route of new requests, so that no job is stored that cannot be sent.

    Raises:
        UnsupportedByProvider: it has only the dedicated endpoints.
    """
    if options.route == "veo" or JOBS.record.name in dialect.endpoints:
        return
    name = "route" if options.network.route else ROUTE_VARIABLE
    raise UnsupportedByProvider.of(Problem(name, options.route, f"is not supported by {dialect.name}", "use 'veo'"))


def check_option_names(options: Mapping[str, Any]) -> None:
    """Check the names of keyword arguments, of the request and of the job together.

    Raises:
        InvalidRequest: a name is unknown; the error names the nearest one.
    """
    if unknown := unknown_options(options, _KNOWN_OPTIONS):
        raise InvalidRequest.of(*unknown)


def check_job_options(*, take: Any, tenant: Any, priority: Any, send_within: Any, validate: Any) -> None:
    """Check the arguments of a job that are not part of its request.

    Raises:
        UsageError: an argument is wrong.
    """
    check_count("take", take, minimum=0)
    if not isinstance(tenant, str):
        reject("tenant", tenant, "must be a string")
    check_encodable_text("tenant", tenant)
    check_choice("priority", priority, get_args(Priority))
    if send_within is not None:
        check_positive("send_within", send_within)
    check_flag("validate", validate)


def checked_target(name: str, path: Any, *, parse: Callable[[str, Any], str] = parse_target) -> str | None:
    """Return *path* as an absolute path, of a folder with a slash at its end; None stays None.

    Raises:
        UsageError: it is neither a file nor a folder, or cannot be created.
    """
    if path is None:
        return None
    if not isinstance(path, str | PathLike) or not isinstance(fspath(path), str) or not fspath(path):
        reject(name, path, "must be the path of a file or a folder")
    if "\0" in fspath(path):
        reject(name, path, "must not contain a NUL character")
    check_encodable_text(name, fspath(path))
    _check_file_names(name, path)
    return parse(name, path)


def parsed_template(name: str, path: Any) -> PathTemplate | None:
    """Return *path* as a template; None if it has no placeholders.

    Raises:
        UsageError: a placeholder is wrong, or needs a number that *path* does not have.
    """
    if not isinstance(path, str | PathLike) or not isinstance(text := fspath(path), str) or not is_template(text):
        return None
    check_encodable_text(name, text)
    return parse_template(name, text, has_number=isinstance(path, NumberedPath))


def check_save_to(path: Any) -> None:
    """Check the argument ``save_to`` of several requests: their target, or the template for it.

    Raises:
        UsageError: it cannot be the target of any of them.
    """
    template = parsed_template("save_to", numbered(path, 1))
    checked_target("save_to", path if template is None else template.as_example())


def _checked_default(path: Any) -> str | PathTemplate | None:
    """Return the default target of a session: the absolute path of a folder, or a template."""
    template = parsed_template("save_to", path)
    if template is None:
        return checked_target("save_to", path, parse=parse_folder)
    if not template.names & {"key", "id"}:
        reject("save_to", fspath(path), "must contain {key} or {id}, so that each clip gets a name; or name a folder")
    checked_target("save_to", template.as_example())
    return template.below(os.getcwd())


def _check_file_names(name: str, path: Any) -> None:
    if path is None:
        return
    if (problem := path_problem(fspath(path))) is not None:
        reject(name, path, problem)
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in Path(path).parts):
        reject(name, path, f"a file name must not be longer than {_MAX_NAME_BYTES} bytes")


def _checked_ledger(ledger: Any) -> Any:
    is_path = isinstance(ledger, str | PathLike)
    if ledger == "" or not (ledger is None or is_path or hasattr(ledger, "open")):
        reject("ledger", ledger, "must be a file's path, a ledger from veo_async.ledger, or None")
    if isinstance(ledger, str):
        check_encodable_text("ledger", ledger)
    _check_file_names("ledger", ledger if is_path else None)
    return as_ledger(ledger)


def _checked_callbacks(callbacks: Callbacks | None) -> Callbacks | None:
    if callbacks is not None:
        check_instance("callbacks", callbacks, Callbacks, "a public URL, or Callbacks(url, secret=…)")
    return callbacks
