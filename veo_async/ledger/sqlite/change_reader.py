"""Reads what other sessions have done since the last read, and takes over the jobs of dead ones.

`ReadOffsets` records what the session has read already. It is a value, so that it can be restored when a transaction
fails. Everything here runs in the ledger session's own thread, inside a transaction that `LedgerFile` has begun, except
`ChangeReader.read_if_quiet`.
"""

import json
import logging
from collections.abc import Collection

import attrs

from veo_async._ports import AccountActivity, CallbackHint, JobRow, LedgerChanges
from veo_async._rules.lifecycle import JobState
from veo_async.ledger import rules

from .session_lock import SessionLock
from .statements import Statements, as_blob

_logger = logging.getLogger(__name__)

_NEVER = 2**62


@attrs.frozen(kw_only=True)
class ReadOffsets:
    """What a session has read, and what it needs to know to skip a read when nothing has changed."""

    was_read: bool = False
    #: The last transition, hint and call that it has read.
    transition: int = 0
    hint: int = 0
    call: int = 0
    #: Jobs that this session owns because it applied a transition to them; their earlier hints are not yet reported.
    adopted: frozenset[str] = frozenset()
    #: This session itself has added a hint, which does not change `version`.
    has_local_hint: bool = False
    #: Own transitions after this one are reported like those of others: their commit raised an error and still took
    #: effect.
    uncertain_after: int = _NEVER
    #: SQLite's ``data_version`` at the last read.
    version: int | None = None
    #: The living owners of this account's other jobs.
    owners: tuple[str, ...] = ()
    closed_until: float = 0.0


@attrs.define(eq=False)
class ChangeReader:
    """Reads changes for one session."""

    _statements: Statements
    _session_lock: SessionLock
    _account: str | None
    offsets: ReadOffsets = attrs.field(factory=ReadOffsets, init=False)

    @property
    def _session_id(self) -> str:
        return self._session_lock.session_id

    def forget_version(self) -> None:
        """Make the next read complete: the numbers of a new connection cannot be compared with the old one's."""
        self.offsets = attrs.evolve(self.offsets, version=None)

    def on_local_hint(self) -> None:
        """Note that this session has added a hint."""
        self.offsets = attrs.evolve(self.offsets, has_local_hint=True)

    def on_adopted(self, key: str) -> None:
        """Note that a transition of this session has made it the owner of a job."""
        self.offsets = attrs.evolve(self.offsets, adopted=self.offsets.adopted | {key})

    def on_uncertain_commit(self, transition: int) -> None:
        """Report this session's own transitions after *transition* with the next changes."""
        self.offsets = attrs.evolve(self.offsets, uncertain_after=transition)

    def read_if_quiet(self) -> LedgerChanges | None:
        """Return the changes if nothing has happened, which reads one page of the file; otherwise None."""
        offsets = self.offsets
        if not offsets.was_read or offsets.has_local_hint or offsets.adopted or offsets.uncertain_after != _NEVER:
            return None
        if not self._session_lock.has_lock_file():
            return None  # the full read makes it again
        is_same = self._statements.data_version() == offsets.version
        if not is_same or not all(map(self._session_lock.is_alive, offsets.owners)):
            return None
        return LedgerChanges(gate=AccountActivity(closed_until=offsets.closed_until))

    def read(self, at: float) -> LedgerChanges:
        """Take over the jobs whose owners are dead, and return all changes since the last read."""
        version = self._statements.data_version()
        taken = [] if self._account is None else self._take_over(at)
        keys = {row.key for row in taken}
        changed = tuple(row for row in self._changed() if row.key not in keys)
        hints = self._new_hints(keys | self.offsets.adopted)
        gate = AccountActivity() if self._account is None else self.account_activity(self._account, at)
        if not self.offsets.was_read and self._account is not None:
            self._report_future(self._account, at)
        self.offsets = attrs.evolve(
            self.offsets,
            was_read=True,
            transition=self._statements.value("last_transition"),
            hint=self._statements.value("last_hint"),
            adopted=frozenset(),
            has_local_hint=False,
            uncertain_after=_NEVER,
            version=version,
            owners=tuple(self._other_owners()),
            closed_until=gate.closed_until,
        )
        return LedgerChanges(taken_over=tuple(taken), changed=changed, hints=hints, gate=gate)

    def account_activity(self, account: str, at: float, closed_until: float | None = None) -> AccountActivity:
        """Return the calls of other sessions that are new to this one, and until when they have closed the gate.

        Each call is reported once, with the time known at that moment. A `SendPermit` always counts the latest time.
        """
        new = self._statements.run(
            "calls_after",
            account=account,
            session_id=self._session_id,
            after=self.offsets.call,
            latest=rules.latest_time(at),
        )
        calls = tuple(sent_at for (sent_at,) in new)
        self.offsets = attrs.evolve(self.offsets, call=self._statements.value("last_call"))
        return AccountActivity(
            calls=calls, closed_until=self.closed_until(account, at) if closed_until is None else closed_until
        )

    def closed_until(self, account: str, at: float) -> float:
        """Return until when other sessions have closed the account's gate."""
        latest = rules.latest_time(at)
        found = self._statements.value("closed_until", account=account, session_id=self._session_id, latest=latest)
        return float(found)

    def _report_future(self, account: str, at: float) -> None:
        if self._statements.value("has_future", account=account, latest=rules.latest_time(at)):
            message = "the ledger has times from the future, written while a clock was wrong; they are ignored"
            _logger.warning(message, extra={"action": "future-times"})

    # --- taking over ---

    def _take_over(self, at: float) -> list[JobRow]:
        dead = [owner for owner in self._other_owners() if not self._session_lock.is_alive(owner)]
        if not self.offsets.was_read:
            self._delete_stale_sessions()
        orphans = self._statements.jobs("orphaned_jobs", account=self._account, dead=json.dumps(dead))
        if not self.offsets.was_read:
            for row in orphans:
                if row.state == rules.UNREADABLE:
                    extra = {"action": "job-unreadable", "job_key": row.key}
                    _logger.error("job %s cannot be read from the ledger, and is left alone", row.key, extra=extra)
        return [self._take_over_job(row, at) for row in orphans if row.state != rules.UNREADABLE]

    def _take_over_job(self, row: JobRow, at: float) -> JobRow:
        owned = attrs.evolve(row, owner=self._session_id)
        if row.state == JobState.SENDING:
            owned = attrs.evolve(owned, state=JobState.IN_DOUBT.value, attempts=row.attempts + 1)
            self._statements.insert_transition(rules.sender_lost(row, at), self._session_id)
        self._statements.update_job(owned, ("owner", "state", "attempts"))
        return owned

    def _delete_stale_sessions(self) -> None:
        rows = self._statements.rows("known_sessions", session_id=self._session_id)
        known = [session_id for (session_id,) in rows if isinstance(session_id, str)]
        dead = [session_id for session_id in known if not self._session_lock.is_alive(session_id)]
        if dead:
            self._statements.run("delete_sessions", dead=json.dumps(dead))

    def _other_owners(self) -> list[str]:
        if self._account is None:
            return []
        rows = self._statements.rows("owners", account=self._account, session_id=self._session_id)
        return [owner for (owner,) in rows if isinstance(owner, str)]

    # --- reading ---

    def _changed(self) -> list[JobRow]:
        offsets = self.offsets
        if not offsets.was_read:
            return self._statements.jobs("active_jobs", account=self._account, session_id=self._session_id)
        return self._statements.jobs(
            "changed",
            account=self._account,
            session_id=as_blob(self._session_id),
            after=min(offsets.transition, offsets.uncertain_after),
            uncertain_after=offsets.uncertain_after,
        )

    def _new_hints(self, adopted: Collection[str]) -> tuple[CallbackHint, ...]:
        """Return all hints for *adopted* jobs, and the hints for the session's other jobs that it has not read."""
        after, session_id = self.offsets.hint, self._session_id
        keys = json.dumps([*adopted])
        earlier = self._statements.rows("hints_of_jobs", keys=keys, after=after, session_id=session_id)
        later = self._statements.rows("hints", after=after, session_id=session_id)
        return tuple(
            CallbackHint(key=key, token=token, task_id=task_id)
            for key, token, task_id in (*earlier, *later)
            if all(isinstance(value, str) for value in (key, token, task_id))
        )
