"""The contract of the ledger protocol, one test for each guarantee; run against every ledger."""

import asyncio
from typing import Any

import attrs
import pytest

from veo_async._ports import AccountActivity, CallbackHint, LedgerChanges, LedgerSession, RateClaim, TaskAlreadyBound
from veo_async.errors import LedgerError

from .conftest import Sessions
from .support import ACCOUNT, ROOMY, job, sending, transition


def keys(rows: object) -> list[str]:
    return [row.key for row in rows]  # type: ignore[attr-defined]  # tuples and lists of rows


# --- submitting -------------------------------------------------------------------------------------------------


async def test_insert_stores_the_row_and_makes_the_session_its_owner(sessions: Sessions) -> None:
    """The stored row comes back, owned by the session that submitted it."""
    session = await sessions.open()
    row = job(tenant="shop", priority="urgent", metadata='{"n": 1}', deadline=500.0)
    current = await session.insert(row)
    assert current == attrs.evolve(row, owner=session.session_id)
    assert await session.get("dog") == current


async def test_insert_of_an_existing_key_returns_the_existing_row(sessions: Sessions) -> None:
    """A second job with the same key is not stored, regardless of the session that submits it."""
    one, two = await sessions.open(), await sessions.open()
    first = await one.insert(job())
    assert await two.insert(job(request="{}", submitted_at=200.0)) == first
    assert len(await one.transitions("dog")) == 1


async def test_concurrent_inserts_of_one_key_return_the_same_row(sessions: Sessions) -> None:
    """All callers agree on one row."""
    one, two = await sessions.open(), await sessions.open()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(session.insert(job(tenant=str(n)))) for n in range(10) for session in (one, two)]
    assert len({task.result() for task in tasks}) == 1


async def test_finished_job_can_be_resubmitted(sessions: Sessions) -> None:
    """A caller that passes the finished row can submit the key again.

    The job then comes last in the order, and its timeline keeps the earlier run.
    """
    session = await sessions.open()
    await session.insert(job())
    await session.insert(job("cat"))
    await session.apply(transition("abandon", ended_at=101.0))
    ended = await session.get("dog")
    resubmitted = await session.insert(job(submitted_at=200.0), replaces=ended)
    assert resubmitted.state == "queued"
    assert resubmitted.submitted_at == 200.0
    assert keys(await session.jobs()) == ["cat", "dog"]
    assert [(s.event, s.before, s.after) for s in await session.transitions("dog")] == [
        ("submit", "", "queued"),
        ("abandon", "queued", "abandoned"),
        ("submit", "abandoned", "queued"),
    ]


async def test_insert_with_an_outdated_row_replaces_nothing(sessions: Sessions) -> None:
    """A caller that has read an earlier run of the key changes nothing."""
    session = await sessions.open()
    await session.insert(job())
    await session.apply(transition("abandon", ended_at=101.0))
    seen = await session.get("dog")
    await session.insert(job(submitted_at=200.0), replaces=seen)
    await session.apply(transition("abandon", ended_at=201.0))
    late = await session.insert(job(submitted_at=300.0), replaces=seen)
    assert (late.state, late.submitted_at) == ("abandoned", 200.0)


async def test_insert_with_a_task_binds_the_task(sessions: Sessions) -> None:
    """An adopted task belongs to its job from the start, and no second job can have it."""
    session = await sessions.open()
    await session.insert(job(state="running", request=None, task_id="t1"))
    with pytest.raises(TaskAlreadyBound) as caught:
        await session.insert(job("cat", state="running", task_id="t1"))
    assert caught.value.key == "dog"
    assert await session.get("cat") is None
    assert (await session.transitions("dog"))[0].changes == {"task_id": "t1"}


async def test_jobs_are_listed_in_the_order_of_submission(sessions: Sessions) -> None:
    """Also if all were submitted at the same moment."""
    session = await sessions.open()
    names = [f"job-{n % 7}-{n}" for n in range(200)]
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(session.insert(job(name)))
    assert keys(await session.jobs()) == names


async def test_jobs_can_be_filtered_by_state(sessions: Sessions) -> None:
    """Only jobs in one of the given states are returned."""
    session = await sessions.open()
    for key in ("a", "b", "c"):
        await session.insert(job(key))
    await session.apply(transition("abandon", "b"))
    assert keys(await session.jobs(["queued"])) == ["a", "c"]
    assert keys(await session.jobs({"abandoned", "failed"})) == ["b"]
    assert await session.jobs([]) == []


async def test_session_lists_the_jobs_of_its_own_account(sessions: Sessions) -> None:
    """A session with an account lists that account's jobs, one without lists all. `get` finds any key."""
    ours, other, inspector = await sessions.open(), await sessions.open("account-2"), await sessions.open(None)
    await ours.insert(job())
    await other.insert(job("cat", account="account-2"))
    assert keys(await ours.jobs()) == ["dog"]
    assert keys(await other.jobs()) == ["cat"]
    assert keys(await inspector.jobs()) == ["dog", "cat"]
    assert await other.get("dog") is not None  # of another account


# --- transitions ------------------------------------------------------------------------------------------------


async def test_apply_changes_state_and_columns_together(sessions: Sessions) -> None:
    """The row has the new state and columns; the timeline holds the rest of the transition as it was given."""
    session = await sessions.open()
    await session.insert(job())
    taken = transition(
        "abandon",
        at=7.0,
        evidence={"code": 400, "text": "ümläut", "x": None},
        outcome='{"a": 1}',
        ended_at=7.0,
        attempts=2,
    )
    assert await session.apply(taken) is True
    row = await session.get("dog")
    assert row is not None
    assert (row.state, row.outcome, row.ended_at) == ("abandoned", '{"a": 1}', 7.0)
    assert (await session.transitions("dog"))[1] == attrs.evolve(taken, changes={"attempts": 2})


async def test_apply_to_a_job_in_another_state_writes_nothing(sessions: Sessions) -> None:
    """Nor is anything written for a job that does not exist."""
    session = await sessions.open()
    assert await session.apply(transition("abandon")) is False
    await session.insert(job())
    assert await session.apply(transition("complete")) is False
    assert len(await session.transitions("dog")) == 1
    assert (await session.get("dog")).state == "queued"  # type: ignore[union-attr]  # it exists


async def test_transition_that_changes_a_protected_column_is_rejected(sessions: Sessions) -> None:
    """Owner, state and unknown columns cannot be changed; trying to is a bug of the caller."""
    session = await sessions.open()
    await session.insert(job())
    for name in ("owner", "state", "colour"):
        with pytest.raises(ValueError, match=name):
            await session.apply(transition("abandon", **{name: "x"}))
    assert len(await session.transitions("dog")) == 1


async def test_concurrent_calls_take_effect_in_the_order_of_the_calls(sessions: Sessions) -> None:
    """Transitions that build on each other can be written without waiting in between."""
    session = await sessions.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(session.insert(job()))
        sent = group.create_task(session.begin_send(sending(), ROOMY))
        accepted = group.create_task(session.apply(transition("accept", task_id="t1")))
        finished = group.create_task(session.apply(transition("complete")))
        row = group.create_task(session.get("dog"))
    assert sent.result() is not None
    assert accepted.result()
    assert finished.result()
    assert row.result().state == "ready"  # type: ignore[union-attr]  # it exists


async def test_task_of_another_job_is_rejected_without_affecting_other_calls(sessions: Sessions) -> None:
    """Row 40: the provider returns one task for two calls.

    The second job does not get it, and the calls before and after it succeed.
    """
    session = await sessions.open()
    for key in ("a", "b", "c"):
        await session.insert(job(key))
        await session.begin_send(sending(key), ROOMY)
    async with asyncio.TaskGroup() as group:
        group.create_task(session.apply(transition("accept", "a", task_id="t1")))
        second = asyncio.create_task(session.apply(transition("accept", "b", task_id="t1")))
        third = group.create_task(session.apply(transition("accept", "c", task_id="t3")))
        await asyncio.wait([second])
    failure = second.exception()
    assert isinstance(failure, TaskAlreadyBound)
    assert failure.key == "a"
    assert third.result() is True
    assert (await session.get("b")).state == "sending"  # type: ignore[union-attr]  # it exists
    assert len(await session.transitions("b")) == 2
    assert (await session.job_of_task("t1")).key == "a"  # type: ignore[union-attr]  # it exists
    assert await session.job_of_task("t9") is None


async def test_follow_ups_are_found_by_their_source(sessions: Sessions) -> None:
    """The key of its job or its task, in the order of submission; the state and the session do not matter."""
    one, two = await sessions.open(), await sessions.open()
    for key, source in (("clip", None), ("hd", "clip"), ("4k", "t-clip"), ("longer", "clip"), ("other", "t-2")):
        await one.insert(job(key, source=source))
    await one.apply(transition("abandon", "hd"))
    assert keys(await two.follow_ups(["clip", "t-clip"])) == ["hd", "4k", "longer"]
    assert keys(await one.follow_ups(["t-2"])) == ["other"]
    assert await one.follow_ups(["t-3"]) == await one.follow_ups([]) == []


# --- ownership --------------------------------------------------------------------------------------------------


async def test_job_of_a_living_session_cannot_be_changed_by_others(sessions: Sessions) -> None:
    """Other sessions can neither apply transitions nor send it."""
    one, two, inspector = await sessions.open(), await sessions.open(), await sessions.open(None)
    await one.insert(job())
    for other in (two, inspector):
        assert await other.apply(transition("abandon")) is False
        assert await other.begin_send(sending(), ROOMY) is None
    assert len(await one.transitions("dog")) == 1


async def test_job_in_doubt_can_be_resolved_by_any_session(sessions: Sessions) -> None:
    """Its living owner keeps it, and reads the transition as a change."""
    one, two, inspector = await sessions.open(), await sessions.open(), await sessions.open(None)
    for key in ("a", "b"):
        await one.insert(job(key))
        await one.begin_send(sending(key), ROOMY)
        await one.apply(transition("lose", key))
    await one.changes(0.0)
    assert await two.apply(transition("bind", "a", task_id="t1"))
    assert await inspector.apply(transition("resubmit", "b"))
    changes = await one.changes(1.0)
    assert [(row.key, row.state, row.owner) for row in changes.changed] == [
        ("a", "running", one.session_id),
        ("b", "queued", one.session_id),
    ]
    assert (await one.changes(2.0)).changed == ()
    assert await one.apply(transition("complete", "a"))


async def test_apply_to_an_orphaned_job_makes_the_session_its_owner(sessions: Sessions) -> None:
    """Except if the session has no account."""
    dead, one, inspector = await sessions.open(), await sessions.open(), await sessions.open(None)
    for key in ("a", "b"):
        await dead.insert(job(key))
    await dead.close()
    assert await inspector.apply(transition("abandon", "a"))
    assert (await one.get("a")).owner == dead.session_id  # type: ignore[union-attr]  # it exists
    assert await one.begin_send(sending("b"), ROOMY)
    assert (await one.get("b")).owner == one.session_id  # type: ignore[union-attr]  # it exists


async def test_apply_to_an_orphan_of_another_account_does_not_take_it_over(sessions: Sessions) -> None:
    """A session cannot own jobs that another API key pays for."""
    dead, other = await sessions.open(), await sessions.open("account-2")
    await dead.insert(job())
    await dead.close()
    assert await other.apply(transition("abandon"))
    assert (await other.get("dog")).owner == dead.session_id  # type: ignore[union-attr]  # it exists


# --- changes ----------------------------------------------------------------------------------------------------


async def test_first_changes_are_all_active_jobs(sessions: Sessions) -> None:
    """Jobs of dead owners are taken over, and jobs of living ones are reported; finished jobs are neither."""
    dead, one = await sessions.open(), await sessions.open()
    for key in ("a", "b", "over"):
        await dead.insert(job(key))
    await dead.apply(transition("abandon", "over"))
    await one.insert(job("c"))
    await dead.close()
    two = await sessions.open()
    changes = await two.changes(200.0)
    assert keys(changes.taken_over) == ["a", "b"]
    assert {row.owner for row in changes.taken_over} == {two.session_id}
    assert keys(changes.changed) == ["c"]
    assert await two.changes(201.0) == LedgerChanges(gate=changes.gate)
    assert (await one.changes(202.0)).taken_over == ()


async def test_job_whose_sender_died_is_in_doubt(sessions: Sessions) -> None:
    """Its outcome is unknown, and the timeline says why; it is never requeued automatically."""
    dead, one = await sessions.open(), await sessions.open()
    await dead.insert(job())
    await dead.begin_send(sending(), ROOMY)
    await dead.close()
    (row,) = (await one.changes(300.0)).taken_over
    assert (row.state, row.owner, row.token) == ("in_doubt", one.session_id, "token-dog")
    last = (await one.transitions("dog"))[-1]
    assert (last.event, last.before, last.after, last.at) == ("lose", "sending", "in_doubt", 300.0)
    assert last.evidence == {"why": "the sending process died"}


async def test_active_states_are_taken_over(sessions: Sessions) -> None:
    """A ready job is active only if it has a save target; a saved job never is."""
    dead = await sessions.open()
    for n, key in enumerate(("queued", "running", "ready", "saved", "kept-nowhere")):
        await dead.insert(job(key, save_to=None if n == 4 else f"clips/{key}.mp4"))
        for taken in (transition("accept", key, task_id=key), transition("complete", key), transition("save", key))[
            : 2 if n == 4 else n
        ]:
            if taken.event == "accept":
                await dead.begin_send(sending(key), ROOMY)
            await dead.apply(taken)
    await dead.close()
    one = await sessions.open()
    assert [(row.key, row.state) for row in (await one.changes(0.0)).taken_over] == [
        (k, k) for k in ("queued", "running", "ready")
    ]


async def test_jobs_of_an_owner_that_dies_later_are_taken_over(sessions: Sessions) -> None:
    """A dying process writes nothing, and still the next changes have its jobs."""
    dead, one = await sessions.open(), await sessions.open()
    await dead.insert(job())
    assert (await one.changes(0.0)).taken_over == ()
    assert (await one.changes(1.0)).taken_over == ()
    await dead.close()
    assert keys((await one.changes(2.0)).taken_over) == ["dog"]


async def test_only_one_of_two_sessions_takes_a_job_over(sessions: Sessions) -> None:
    """Two sessions that notice a dead owner at the same time do not both get its jobs."""
    dead, one, two = await sessions.open(), await sessions.open(), await sessions.open()
    for n in range(20):
        await dead.insert(job(str(n)))
    await dead.close()
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(one.changes(0.0)), group.create_task(two.changes(0.0))
    taken = [*keys(first.result().taken_over), *keys(second.result().taken_over)]
    assert len(taken) == len(set(taken)) == 20


async def test_transitions_of_other_sessions_are_reported_once(sessions: Sessions) -> None:
    """Finished jobs, too; a session's own transitions never."""
    one, two, inspector = await sessions.open(), await sessions.open(), await sessions.open(None)
    await one.changes(0.0)
    await inspector.changes(0.0)
    await two.insert(job())
    await one.insert(job("mine"))
    assert keys((await one.changes(1.0)).changed) == ["dog"]
    await two.apply(transition("abandon"))
    (row,) = (await one.changes(2.0)).changed
    assert row.state == "abandoned"
    assert (await one.changes(3.0)).changed == ()
    assert keys((await inspector.changes(4.0)).changed) == ["dog", "mine"]


async def test_activity_of_other_accounts_is_not_reported(sessions: Sessions) -> None:
    """Neither their jobs, nor their calls, nor their closed gate."""
    dead, ours = await sessions.open("account-2"), await sessions.open()
    await dead.insert(job(account="account-2"))
    await dead.begin_send(sending(), ROOMY)
    await dead.apply(transition("lose"), closed_until=900.0)
    await dead.close()
    assert await ours.changes(0.0) == LedgerChanges()


async def test_session_without_an_account_takes_nothing_over(sessions: Sessions) -> None:
    """It reads the changes of all accounts and leaves every job to its owner."""
    dead, other = await sessions.open(), await sessions.open("account-2")
    await dead.insert(job())
    await dead.begin_send(sending(), ROOMY)
    await other.insert(job("cat", account="account-2"))
    await dead.close()
    inspector = await sessions.open(None)
    changes = await inspector.changes(0.0)
    assert changes.taken_over == ()
    assert [(row.key, row.state) for row in changes.changed] == [("dog", "sending"), ("cat", "queued")]


# --- hints ------------------------------------------------------------------------------------------------------


async def test_hint_is_reported_to_the_owner_each_time_it_is_added(sessions: Sessions) -> None:
    """Any session can receive the callback. A repeated hint is reported again, but stored once."""
    one, two = await sessions.open(), await sessions.open()
    await one.insert(job())
    await one.begin_send(sending(), ROOMY)
    await one.changes(0.0)
    await two.changes(0.0)
    assert await two.add_hint("token-dog", "t1", 5.0) is True
    assert (await two.changes(1.0)).hints == ()
    assert (await one.changes(1.0)).hints == (CallbackHint(key="dog", token="token-dog", task_id="t1"),)
    assert (await one.changes(1.5)).hints == ()
    assert await two.add_hint("token-dog", "t1", 6.0) is True
    assert (await one.changes(2.0)).hints == (CallbackHint(key="dog", token="token-dog", task_id="t1"),)
    assert (await one.changes(2.5)).hints == ()
    assert await one.add_hint("token-dog", "t2", 7.0) is True
    assert (await one.changes(3.0)).hints == (CallbackHint(key="dog", token="token-dog", task_id="t2"),)


async def test_number_of_hints_per_token_is_limited(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone who knows a token cannot fill the ledger. The oldest are dropped; a repeated one counts as new."""
    for module in ("memory", "sqlite.queries"):
        monkeypatch.setattr(f"veo_async.ledger.{module}.MAX_HINTS_PER_TOKEN", 3)
    session = await sessions.open()
    await session.insert(job())
    await session.begin_send(sending(), ROOMY)
    await session.add_hint("token-dog", "t0", 0.0)
    await session.changes(0.0)
    for name in ("t1", "t2", "t1", "t3", "t4"):
        assert await session.add_hint("token-dog", name, 1.0)
    found = [hint.task_id for hint in (await session.changes(1.0)).hints]
    assert found == ["t1", "t3", "t4"]


async def test_hint_with_an_unknown_token_is_rejected(sessions: Sessions) -> None:
    """It is not stored."""
    session = await sessions.open()
    assert await session.add_hint("nonsense", "t1", 0.0) is False


async def test_token_of_an_earlier_attempt_still_leads_to_the_job(sessions: Sessions) -> None:
    """A callback can arrive after the job was sent again."""
    session = await sessions.open()
    await session.insert(job())
    await session.begin_send(sending(token="first"), ROOMY)
    await session.apply(transition("requeue"))
    await session.begin_send(sending(token="second"), ROOMY)
    await session.changes(0.0)
    assert await session.add_hint("first", "t1", 0.0)
    assert (await session.changes(0.0)).hints == (CallbackHint(key="dog", token="first", task_id="t1"),)


async def test_hints_are_reported_again_to_a_new_owner(sessions: Sessions) -> None:
    """The first owner may have died before it could use them.

    Also if the new owner got the job by applying a transition.
    """
    dead = await sessions.open()
    for key in ("a", "b"):
        await dead.insert(job(key))
        await dead.begin_send(sending(key), ROOMY)
        await dead.add_hint(f"token-{key}", f"t-{key}", 0.0)
    assert keys((await dead.changes(0.0)).hints) == ["a", "b"]
    one = await sessions.open()
    await one.changes(0.0)
    await dead.close()
    assert await one.apply(transition("lose", "b"))
    assert keys((await one.changes(1.0)).hints) == ["a", "b"]
    assert (await one.changes(2.0)).hints == ()


async def test_hints_for_a_finished_job_are_not_reported(sessions: Sessions) -> None:
    """Nothing could be done with them."""
    session = await sessions.open()
    await session.insert(job())
    await session.begin_send(sending(), ROOMY)
    await session.apply(transition("accept", task_id="t1"))
    await session.apply(transition("fail"))
    assert await session.add_hint("token-dog", "t1", 0.0) is True
    assert (await session.changes(0.0)).hints == ()


# --- pruning ----------------------------------------------------------------------------------------------------

FINISHED_STATES = ("saved", "refused", "failed", "expired", "abandoned")


async def finish(session: LedgerSession, key: str, state: str, **columns: Any) -> None:
    """Submit a job and take it to *state*, which it reaches at 110.0."""
    await session.insert(job(key, **columns))
    if state == "abandoned":
        assert await session.apply(transition("abandon", key, ended_at=110.0))
        return
    await session.begin_send(sending(key), ROOMY)
    await session.apply(transition("accept", key, task_id=f"t-{key}"))
    if state in ("refused", "failed", "expired"):
        failed = transition("fail", key, ended_at=110.0)
        assert await session.apply(attrs.evolve(failed, after=state))
        return
    await session.apply(transition("complete", key, ended_at=110.0))
    if state == "saved":
        await session.apply(transition("save", key))


async def test_prune_deletes_finished_jobs_with_their_history(sessions: Sessions) -> None:
    """Every finished state; a ready job is finished when it has no save target."""
    session = await sessions.open()
    for state in FINISHED_STATES:
        await finish(session, state, state, save_to=f"{state}.mp4")
    await finish(session, "ready", "ready")
    await session.add_hint("token-ready", "t-ready", 110.0)
    assert await session.prune(110.1) == 6
    assert await session.jobs() == []
    assert await session.transitions("saved") == []
    assert await session.job_of_task("t-ready") is None
    assert await session.add_hint("token-ready", "t-ready", 111.0) is False
    assert await session.prune(110.1) == 0


async def test_prune_keeps_jobs_that_ended_later(sessions: Sessions) -> None:
    """The limit itself is not before the limit, and a job without an end time is kept."""
    session = await sessions.open()
    await finish(session, "dog", "failed")
    await session.insert(job("undated"))
    await session.apply(transition("abandon", "undated"))
    assert await session.prune(110.0) == 0
    assert keys(await session.jobs()) == ["dog", "undated"]
    assert await session.prune(1e12) == 1
    assert keys(await session.jobs()) == ["undated"]


async def test_prune_keeps_open_jobs(sessions: Sessions) -> None:
    """Queued, sending, running, in doubt, and ready with a save target, even if an end time was recorded."""
    session = await sessions.open()
    await session.insert(job("queued", ended_at=1.0))
    for key in ("sending", "running", "in_doubt"):
        await session.insert(job(key, ended_at=1.0))
        await session.begin_send(sending(key), ROOMY)
    await session.apply(transition("accept", "running", task_id="t-running"))
    await session.apply(transition("lose", "in_doubt"))
    await finish(session, "ready", "ready", save_to="clip.mp4")
    before = await session.jobs()
    assert [row.state for row in before] == ["queued", "sending", "running", "in_doubt", "ready"]
    assert await session.prune(1e12) == 0
    assert await session.jobs() == before
    assert [len(await session.transitions(row.key)) for row in before] == [1, 2, 3, 3, 4]
    assert await session.add_hint("token-in_doubt", "t9", 120.0) is True


async def test_pruned_key_is_free_again(sessions: Sessions) -> None:
    """The key, its task and its token can be used for a new job, which comes last in the order."""
    session = await sessions.open()
    await finish(session, "dog", "failed")
    await session.insert(job("cat"))
    await finish(session, "cow", "failed")
    assert await session.prune(111.0) == 2
    again = await session.insert(job(submitted_at=200.0))
    assert (again.state, again.submitted_at, again.owner) == ("queued", 200.0, session.session_id)
    await session.insert(job("cow", submitted_at=200.0))
    assert keys(await session.jobs()) == ["cat", "dog", "cow"]
    assert [(item.event, item.before) for item in await session.transitions("dog")] == [("submit", "")]
    assert await session.begin_send(sending(at=201.0), ROOMY)
    assert await session.apply(transition("accept", task_id="t-dog"))


async def test_prune_leaves_other_accounts_alone(sessions: Sessions) -> None:
    """A session prunes its own account; one without an account prunes all, as it lists all."""
    session, other, inspector = await sessions.open(), await sessions.open("account-2"), await sessions.open(None)
    await finish(session, "dog", "failed")
    await finish(other, "cat", "failed", account="account-2")
    assert await session.prune(1e12) == 1
    assert keys(await inspector.jobs()) == ["cat"]
    assert len(await other.transitions("cat")) == 4
    assert await other.add_hint("token-cat", "t-cat", 120.0) is True
    assert await inspector.prune(1e12) == 1
    assert await inspector.jobs() == []


async def test_prune_does_not_disturb_another_sessions_view(sessions: Sessions) -> None:
    """Another session gets no change from it, and misses none that comes after it."""
    one, two = await sessions.open(), await sessions.open()
    await two.changes(0.0)
    for key in ("a", "b"):
        await two.insert(job(key))
        await two.begin_send(sending(key), ROOMY)
    await finish(one, "old", "failed")
    await one.add_hint("token-old", "t-old", 110.0)
    await one.add_hint("token-a", "t-a", 110.0)
    await one.changes(1.0)
    assert keys((await two.changes(1.0)).changed) == ["old"]
    assert await one.prune(1e12) == 1
    for session in (one, two):
        changes = await session.changes(2.0)
        assert (changes.taken_over, changes.changed, changes.hints) == ((), (), ())
    await one.insert(job("new"))
    await one.add_hint("token-b", "t-b", 120.0)
    changes = await two.changes(3.0)
    assert keys(changes.changed) == ["new"]
    assert keys(changes.hints) == ["b"]
    await two.apply(transition("lose", "a"))
    assert keys((await one.changes(4.0)).changed) == ["a"]


async def test_prune_keeps_sent_calls_that_count_towards_the_rate_limit(sessions: Sessions) -> None:
    """A call of a job that has just ended still takes up room in the window; a call of long ago is deleted."""
    one, two = await sessions.open(), await sessions.open()
    await finish(one, "dog", "failed")
    await two.insert(job("cat"))
    assert await one.prune(111.0) == 1
    claim = RateClaim(limit=1, window_s=10.0, own_calls=0)
    refused = await two.begin_send(sending("cat", at=105.0), claim)
    assert refused is not None
    assert refused.gate == AccountActivity(calls=(101.0,), closed_until=111.0)
    await finish(one, "cow", "failed")
    assert await one.prune(10_000.0) == 1
    assert (await two.changes(106.0)).gate.calls == ()


# --- the shared gate --------------------------------------------------------------------------------------------


async def test_calls_of_other_sessions_count_towards_the_limit(sessions: Sessions) -> None:
    """A denied permit writes nothing and says when there will be room."""
    one, two = await sessions.open(), await sessions.open()
    for n in range(3):
        await one.insert(job(str(n)))
        permit = await one.begin_send(sending(str(n), at=100.0 + n), RateClaim(limit=4, window_s=10.0, own_calls=n))
        assert permit is not None
        assert permit.is_granted
    await two.insert(job())
    refused = await two.begin_send(sending(at=105.0), RateClaim(limit=4, window_s=10.0, own_calls=1))
    assert refused is not None
    assert not refused.is_granted
    assert refused.gate == AccountActivity(calls=(100.0, 101.0, 102.0), closed_until=110.0)
    assert (await two.get("dog")).state == "queued"  # type: ignore[union-attr]  # it exists
    assert await two.add_hint("token-dog", "t", 0.0) is False
    granted = await two.begin_send(sending(at=110.0), RateClaim(limit=4, window_s=10.0, own_calls=1))
    assert granted is not None
    assert granted.is_granted
    assert granted.gate == AccountActivity()


async def test_own_calls_are_counted_from_the_claim_only(sessions: Sessions) -> None:
    """The ledger adds only the calls of other sessions; a session's own gate counts its own."""
    session = await sessions.open()
    for n in range(5):
        await session.insert(job(str(n)))
        permit = await session.begin_send(sending(str(n), at=100.0), RateClaim(limit=1, window_s=10.0, own_calls=0))
        assert permit is not None
        assert permit.is_granted


async def test_call_counts_from_the_time_of_its_response(sessions: Sessions) -> None:
    """The provider counted it at some time in between, so the later time is the safe one. It is reported once."""
    one, two = await sessions.open(), await sessions.open()
    await one.insert(job())
    await one.begin_send(sending(at=100.0), ROOMY)
    assert (await two.changes(101.0)).gate.calls == (100.0,)
    await one.apply(transition("accept", at=104.0, task_id="t1"))
    assert (await two.changes(105.0)).gate.calls == ()
    await two.insert(job("cat"))
    refused = await two.begin_send(sending("cat", at=112.0), RateClaim(limit=1, window_s=10.0, own_calls=0))
    assert refused is not None
    assert refused.gate == AccountActivity(closed_until=114.0)
    granted = await two.begin_send(sending("cat", at=114.0), RateClaim(limit=1, window_s=10.0, own_calls=0))
    assert granted is not None
    assert granted.is_granted


async def test_gate_closed_by_one_session_is_closed_for_the_others(sessions: Sessions) -> None:
    """A session that received a 429 has closed its own gate; the others read here until when.

    The latest time counts.
    """
    one, two = await sessions.open(), await sessions.open()
    for key in ("a", "b"):
        await one.insert(job(key))
    await one.begin_send(sending("a"), ROOMY)
    await one.apply(transition("requeue", "a"), closed_until=150.0)
    await one.begin_send(sending("a"), ROOMY)
    await one.apply(transition("requeue", "a"), closed_until=140.0)
    assert (await one.changes(102.0)).gate.closed_until == 0.0
    assert (await two.changes(102.0)).gate.closed_until == 150.0
    assert (await two.changes(103.0)).gate.closed_until == 150.0
    await two.insert(job())
    refused = await two.begin_send(sending(at=149.0), ROOMY)
    assert refused is not None
    assert (refused.is_granted, refused.gate.closed_until) == (False, 150.0)
    mine = await one.begin_send(sending("b", at=149.0), ROOMY)
    assert mine is not None
    assert mine.is_granted
    granted = await two.begin_send(sending(at=150.0), ROOMY)
    assert granted is not None
    assert granted.is_granted


async def test_closed_gate_survives_the_session_that_closed_it(sessions: Sessions) -> None:
    """A session that starts after a crash must not run into the same rate limit."""
    dead = await sessions.open()
    await dead.insert(job())
    await dead.begin_send(sending(), ROOMY)
    await dead.apply(transition("requeue"), closed_until=150.0)
    await dead.close()
    one = await sessions.open()
    assert (await one.changes(102.0)).gate == AccountActivity(calls=(101.0,), closed_until=150.0)


async def test_times_from_the_future_are_ignored(sessions: Sessions) -> None:
    """A session whose clock was wrong has sent requests and closed the gate, more than two minutes from now."""
    wrong, one = await sessions.open(), await sessions.open()
    for key in ("a", "b"):
        await wrong.insert(job(key))
        await wrong.begin_send(sending(key, at=1000.0), ROOMY)
    await wrong.apply(transition("requeue", "b", at=1000.0), closed_until=1060.0)
    await one.insert(job())
    assert (await one.changes(102.0)).gate == AccountActivity()
    permit = await one.begin_send(sending(at=102.0), RateClaim(limit=1, window_s=10.0, own_calls=0))
    assert permit is not None
    assert permit.is_granted


async def test_times_less_than_two_minutes_ahead_count(sessions: Sessions) -> None:
    """Clocks differ a little, and a Retry-After may be two minutes."""
    other, one = await sessions.open(), await sessions.open()
    await other.insert(job("a"))
    await other.begin_send(sending("a", at=110.0), ROOMY)
    await other.apply(transition("requeue", "a", at=110.0), closed_until=222.0)
    assert (await one.changes(102.0)).gate == AccountActivity(calls=(110.0,), closed_until=222.0)


async def test_rejected_transition_does_not_close_the_gate(sessions: Sessions) -> None:
    """It writes nothing at all."""
    one, two = await sessions.open(), await sessions.open()
    assert await one.apply(transition("requeue"), closed_until=150.0) is False
    assert (await two.changes(0.0)).gate.closed_until == 0.0


async def test_knowledge_is_stored_for_each_account(sessions: Sessions) -> None:
    """The last value is returned to later sessions of the same account."""
    one, other = await sessions.open(), await sessions.open("account-2")
    assert await one.knowledge() is None
    await one.save_knowledge('{"limit": 20}')
    await one.save_knowledge('{"limit": 25}')
    await one.close()
    assert await (await sessions.open()).knowledge() == '{"limit": 25}'
    assert await other.knowledge() is None


# --- sessions ---------------------------------------------------------------------------------------------------


async def test_sessions_have_different_ids_and_the_same_secret(sessions: Sessions) -> None:
    """The secret belongs to the ledger."""
    one, two = await sessions.open(), await sessions.open()
    assert one.session_id != two.session_id
    assert one.secret == two.secret
    assert len(one.secret) >= 16
    assert one.secret.hex() not in repr(one)


async def test_closed_session_rejects_calls(sessions: Sessions) -> None:
    """Closing twice is allowed."""
    session = await sessions.open()
    await session.close()
    await session.close()
    for call in (
        session.insert(job()),
        session.apply(transition("abandon")),
        session.changes(0.0),
        session.jobs(),
        session.get("dog"),
    ):
        with pytest.raises(LedgerError, match="closed"):
            await call


async def test_cancelled_call_does_not_affect_other_calls(sessions: Sessions) -> None:
    """The other calls of its batch return, its own write still happens, and the order is kept."""
    session = await sessions.open()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(session.insert(job(str(n)))) for n in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
    assert keys(await session.jobs()) == [str(n) for n in range(30)]
    for n, task in enumerate(tasks):
        assert task.cancelled() or task.result().key == str(n)


async def test_changes_read_for_a_cancelled_caller_go_to_the_next(sessions: Sessions) -> None:
    """Including the jobs that were taken over."""
    dead, one = await sessions.open(), await sessions.open()
    await dead.insert(job())
    await dead.begin_send(sending(), ROOMY)
    await dead.add_hint("token-dog", "t1", 0.0)
    await dead.close()
    asking = asyncio.create_task(one.changes(0.0))
    for _ in range(3):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    changes = asking.result() if not asking.cancelled() else await one.changes(1.0)
    assert keys(changes.taken_over) == ["dog"]
    assert keys(changes.hints) == ["dog"]
    assert changes.gate.calls == (101.0,)


async def test_close_waits_for_earlier_calls(sessions: Sessions) -> None:
    """No write that was started is lost."""
    session = await sessions.open()
    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(session.insert(job(str(n))))
        await asyncio.sleep(0)
        await session.close()
    assert len(await (await sessions.open()).jobs()) == 20


def test_helper_jobs_belong_to_the_test_account() -> None:
    """The account of `job` is the one that sessions are opened for."""
    assert job().account == ACCOUNT
