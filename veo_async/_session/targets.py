"""Where the jobs of a session save their clips, checked before anything is sent."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any

import attrs

from veo_async._base.run_blocking import run_blocking
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.live_job import LiveJob
from veo_async.errors import DownloadFailed, FileNameTaken
from veo_async.media.destinations import Owner, choose_path, destinations, remedy_for
from veo_async.media.targets import is_file_name
from veo_async.media.templates import NUMBER, NameFacts, NumberedPath, PathTemplate

from .lifetime import Lifetime
from .options import checked_target, parsed_template


class SaveTargets:
    """Checks and remembers the targets of a session's jobs.

    Args:
        default: the folder, or the template, for jobs that name no destination.
        overwrite: whether a named file may be replaced.
    """

    def __init__(self, lifetime: Lifetime, default: str | PathTemplate | None, *, overwrite: bool) -> None:
        self._lifetime, self._overwrite = lifetime, overwrite
        self._default_template = default if isinstance(default, PathTemplate) else None
        self._default_folder = default if isinstance(default, str) else None
        #: The job that was given each file name, until it has finished.
        self._keys: dict[str, str] = {}
        self._has_recovered_jobs = False
        #: Arguments that were found to be folders: most jobs of a session go to the same one.
        self._folders: dict[str | PathLike[str], str] = {}

    @asynccontextmanager
    async def reserve(
        self, path: str | PathLike[str] | None, key: str, find_facts: Callable[[], Awaitable[NameFacts]]
    ) -> AsyncGenerator[str | None]:
        """Yield the target of the job *key*, known or new; a file that is named stays reserved unless the block raises.

        Args:
            find_facts: returns what the placeholders of a template stand for; called only if there are some.

        Raises:
            UsageError: *path* is neither a file nor a folder, or is a file that this job may not replace.
        """
        target, is_file = await self._resolve(path, find_facts)
        if target is None or not is_file or self._overwrite:
            yield target
            return
        is_new = target not in self._keys
        try:
            await self._require_free(target, key)
            yield target
        except BaseException:
            if is_new and self._keys.get(target) == key:
                del self._keys[target]
            raise
        job = self._lifetime.engine.registry.by_key.get(key)
        if job is not None:
            job.on_finished(self._release)

    async def _resolve(
        self, path: str | PathLike[str] | None, find_facts: Callable[[], Awaitable[NameFacts]]
    ) -> tuple[str | None, bool]:
        """Return the absolute target of a job, and whether it names a file."""
        template = self._default_template if path is None else parsed_template("save_to", path)
        if template is not None:
            number = path.number if isinstance(path, NumberedPath) else None
            facts = attrs.evolve(await find_facts(), number=number)
            known = await self._numbered_before(template, facts) if NUMBER in template.names else None
            return await run_blocking(_parse, known or template.fill(facts))
        if path is None:
            return self._default_folder, False
        return await self._parse(path.path if isinstance(path, NumberedPath) else path)

    async def _numbered_before(self, template: PathTemplate, facts: NameFacts) -> str | None:
        """Return the target that an earlier run has given this job, if only its number differs.

        A row that is inserted into a list moves the numbers of the rows below it. Their files keep the names they have.
        """
        known = await self._lifetime.require_open().admission.find(facts.key)
        target = known.save_to if known is not None else None
        return target if target is not None and template.fill_except_number(facts).fullmatch(target) else None

    async def _parse(self, path: str | PathLike[str]) -> tuple[str, bool]:
        """Return the absolute path, and whether it names a file."""
        if isinstance(path, str | PathLike) and path in self._folders:
            return self._folders[path], False
        target, is_file = await run_blocking(_parse, path)
        if not is_file:
            self._folders[path] = target
        return target, is_file

    async def _require_free(self, target: str, key: str) -> None:
        find = self._lifetime.require_open().admission.find
        self._add_recovered_jobs()
        holder = self._keys.setdefault(target, key)  # from here on, no other job gets it
        await run_blocking(_check_owner, target, await find(key), key)
        if holder == key:
            return
        other = await find(holder)  # None: it is just being inserted
        if other is None or other.state in _WILL_BE_SAVED or self._keys[target] != holder:
            message = f"save_to={target!r}: the clip of job {holder!r} is saved to this file"
            raise FileNameTaken(message, remedy=remedy_for(Owner.ANOTHER_CLIP))
        self._keys[target] = key

    def _add_recovered_jobs(self) -> None:
        """Reserve the files of the jobs that the session found on its ledger, once."""
        if not self._has_recovered_jobs:
            self._has_recovered_jobs = True
            for job in self._lifetime.engine.registry.by_key.values():
                if job.save_to is not None and job.state in _WILL_BE_SAVED:
                    self._keys.setdefault(job.save_to, job.key)
                    job.on_finished(self._release)

    def _release(self, job: LiveJob) -> None:
        """Forget the file of a finished job: from now on the file itself shows to which clip it belongs."""
        if job.save_to is not None and job.state not in _WILL_BE_SAVED and self._keys.get(job.save_to) == job.key:
            del self._keys[job.save_to]


#: In these states, the clip of a job may still be saved to its file.
_WILL_BE_SAVED = frozenset(JobState) - {
    JobState.SAVED,
    JobState.REFUSED,
    JobState.FAILED,
    JobState.EXPIRED,
    JobState.ABANDONED,
}


def _parse(path: Any) -> tuple[str, bool]:
    target = checked_target("save_to", path) or ""
    return target, is_file_name(target)


def _check_owner(target: str, known: LiveJob | None, key: str) -> None:
    """Require that nothing is lost if the clip of job *key* is saved to the file *target*."""
    task_id = (known.task_id if known else None) or ""
    [first] = destinations(target, key, 1, {"task_id": task_id})
    try:
        choose_path(first)
    except DownloadFailed as taken:
        raise FileNameTaken(f"save_to={target!r}: {taken.message}", remedy=taken.remedy) from None
