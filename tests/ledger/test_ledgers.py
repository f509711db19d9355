"""What every ledger promises, one test for each promise; run against all of them."""

import asyncio
from typing import Any

import attrs
import pytest

from veo_async._ports import AccountActivity, CallbackHint, LedgerChanges, LedgerSession, RateClaim, TaskAlreadyBound
from veo_async.errors import LedgerError

from .conftest import Books
from .support import ACCOUNT, ROOMY, job, sending, step


def keys(rows: object) -> list[str]:
    return [row.key for row in rows]  # type: ignore[attr-defined]  # tuples and lists of rows


# --- planning ---------------------------------------------------------------------------------------------------


async def test_a_plan_is_put_down_and_owned(books: Books) -> None:
    """The row comes back as it is there now, driven by the book that planned it."""
    book = await books.open()
    row = job(tenant="shop", priority="urgent", metadata='{"n": 1}', deadline=500.0)
    there = await book.insert(row)
    assert there == attrs.evolve(row, owner=book.session_id)
    assert await book.get("dog") == there


async def test_a_key_is_planned_once(books: Books) -> None:
    """The second plan of a key finds the first, whoever made it."""
    one, two = await books.open(), await books.open()
    first = await one.insert(job())
    assert await two.insert(job(request="{}", submitted_at=200.0)) == first
    assert len(await one.transitions("dog")) == 1


async def test_one_of_many_plans_wins(books: Books) -> None:
    """Many at once agree on one row."""
    one, two = await books.open(), await books.open()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(book.insert(job(tenant=str(n)))) for n in range(10) for book in (one, two)]
    assert len({task.result() for task in tasks}) == 1


async def test_what_ended_can_be_replaced(books: Books) -> None:
    """With the ended row in hand a key is planned anew; it is the youngest again, and its past is kept."""
    book = await books.open()
    await book.insert(job())
    await book.insert(job("cat"))
    await book.apply(step("abandon", ended_at=101.0))
    ended = await book.get("dog")
    anew = await book.insert(job(submitted_at=200.0), replaces=ended)
    assert anew.state == "queued"
    assert anew.submitted_at == 200.0
    assert keys(await book.jobs()) == ["cat", "dog"]
    assert [(s.event, s.before, s.after) for s in await book.transitions("dog")] == [
        ("submit", "", "queued"),
        ("abandon", "queued", "abandoned"),
        ("submit", "abandoned", "queued"),
    ]


async def test_what_was_replaced_meanwhile_stays(books: Books) -> None:
    """A planner that has seen an older life of the key changes nothing."""
    book = await books.open()
    await book.insert(job())
    await book.apply(step("abandon", ended_at=101.0))
    seen = await book.get("dog")
    await book.insert(job(submitted_at=200.0), replaces=seen)
    await book.apply(step("abandon", ended_at=201.0))
    late = await book.insert(job(submitted_at=300.0), replaces=seen)
    assert (late.state, late.submitted_at) == ("abandoned", 200.0)


async def test_a_plan_can_bring_a_task(books: Books) -> None:
    """An adopted task belongs to its job from the plan on; a second job cannot have it."""
    book = await books.open()
    await book.insert(job(state="running", request=None, task_id="t1"))
    with pytest.raises(TaskAlreadyBound) as caught:
        await book.insert(job("cat", state="running", task_id="t1"))
    assert caught.value.key == "dog"
    assert await book.get("cat") is None
    assert (await book.transitions("dog"))[0].changes == {"task_id": "t1"}


async def test_rows_come_in_the_order_of_planning(books: Books) -> None:
    """Also when they were called for at once."""
    book = await books.open()
    names = [f"job-{n % 7}-{n}" for n in range(200)]
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(book.insert(job(name)))
    assert keys(await book.jobs()) == names


async def test_rows_can_be_asked_for_by_state(books: Books) -> None:
    """Only those in one of the states."""
    book = await books.open()
    for key in ("a", "b", "c"):
        await book.insert(job(key))
    await book.apply(step("abandon", "b"))
    assert keys(await book.jobs(["queued"])) == ["a", "c"]
    assert keys(await book.jobs({"abandoned", "failed"})) == ["b"]
    assert await book.jobs([]) == []


async def test_each_account_sees_its_own(books: Books) -> None:
    """A book with an account has its jobs, one without has all."""
    ours, theirs, looking = await books.open(), await books.open("account-2"), await books.open(None)
    await ours.insert(job())
    await theirs.insert(job("cat", account="account-2"))
    assert keys(await ours.jobs()) == ["dog"]
    assert keys(await theirs.jobs()) == ["cat"]
    assert keys(await looking.jobs()) == ["dog", "cat"]
    assert await theirs.get("dog") is not None  # whosoever it is


# --- steps ------------------------------------------------------------------------------------------------------


async def test_a_step_comes_whole(books: Books) -> None:
    """State and columns change together, and the timeline holds what was written."""
    book = await books.open()
    await book.insert(job())
    taken = step(
        "abandon", at=7.0, evidence={"code": 400, "text": "ümläut", "x": None}, outcome='{"a": 1}', ended_at=7.0
    )
    assert await book.apply(taken) is True
    row = await book.get("dog")
    assert row is not None
    assert (row.state, row.outcome, row.ended_at) == ("abandoned", '{"a": 1}', 7.0)
    assert (await book.transitions("dog"))[1] == taken


async def test_a_step_needs_its_job_in_its_state(books: Books) -> None:
    """Otherwise nothing is written."""
    book = await books.open()
    assert await book.apply(step("abandon")) is False
    await book.insert(job())
    assert await book.apply(step("complete")) is False
    assert len(await book.transitions("dog")) == 1
    assert (await book.get("dog")).state == "queued"  # type: ignore[union-attr]  # it is there


async def test_only_columns_can_change(books: Books) -> None:
    """A step that would change whose a job is, or what there is no column for, is a defect and says so."""
    book = await books.open()
    await book.insert(job())
    for name in ("owner", "state", "colour"):
        with pytest.raises(ValueError, match=name):
            await book.apply(step("abandon", **{name: "x"}))
    assert len(await book.transitions("dog")) == 1


async def test_calls_take_effect_in_their_order(books: Books) -> None:
    """Steps that build on each other can be called for without waiting in between."""
    book = await books.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(book.insert(job()))
        sent = group.create_task(book.begin_send(sending(), ROOMY))
        accepted = group.create_task(book.apply(step("accept", task_id="t1")))
        finished = group.create_task(book.apply(step("complete")))
        row = group.create_task(book.get("dog"))
    assert sent.result() is not None
    assert accepted.result()
    assert finished.result()
    assert row.result().state == "ready"  # type: ignore[union-attr]  # it is there


async def test_a_task_belongs_to_one_job(books: Books) -> None:
    """Row 40: the provider gives two calls the same task; the second job does not get it, its neighbours do."""
    book = await books.open()
    for key in ("a", "b", "c"):
        await book.insert(job(key))
        await book.begin_send(sending(key), ROOMY)
    async with asyncio.TaskGroup() as group:
        group.create_task(book.apply(step("accept", "a", task_id="t1")))
        second = asyncio.create_task(book.apply(step("accept", "b", task_id="t1")))
        third = group.create_task(book.apply(step("accept", "c", task_id="t3")))
        await asyncio.wait([second])
    failure = second.exception()
    assert isinstance(failure, TaskAlreadyBound)
    assert failure.key == "a"
    assert third.result() is True
    assert (await book.get("b")).state == "sending"  # type: ignore[union-attr]  # it is there
    assert len(await book.transitions("b")) == 2
    assert (await book.job_of_task("t1")).key == "a"  # type: ignore[union-attr]  # it is there
    assert await book.job_of_task("t9") is None


# --- whose it is ------------------------------------------------------------------------------------------------


async def test_a_living_books_job_is_its_own(books: Books) -> None:
    """Another book's steps on it are refused, and its sends as well."""
    one, two, looking = await books.open(), await books.open(), await books.open(None)
    await one.insert(job())
    for other in (two, looking):
        assert await other.apply(step("abandon")) is False
        assert await other.begin_send(sending(), ROOMY) is None
    assert len(await one.transitions("dog")) == 1


async def test_a_job_in_doubt_is_moved_by_whoever_knows(books: Books) -> None:
    """Its living owner keeps it, and hears of it."""
    one, two, looking = await books.open(), await books.open(), await books.open(None)
    for key in ("a", "b"):
        await one.insert(job(key))
        await one.begin_send(sending(key), ROOMY)
        await one.apply(step("lose", key))
    await one.changes(0.0)
    assert await two.apply(step("bind", "a", task_id="t1"))
    assert await looking.apply(step("resubmit", "b"))
    news = await one.changes(1.0)
    assert [(row.key, row.state, row.owner) for row in news.changed] == [
        ("a", "running", one.session_id),
        ("b", "queued", one.session_id),
    ]
    assert (await one.changes(2.0)).changed == ()
    assert await one.apply(step("complete", "a"))


async def test_a_step_takes_an_orphan_in(books: Books) -> None:
    """A job whose owner is gone becomes the book's that moves it, unless that one is only looking."""
    gone, one, looking = await books.open(), await books.open(), await books.open(None)
    for key in ("a", "b"):
        await gone.insert(job(key))
    await gone.close()
    assert await looking.apply(step("abandon", "a"))
    assert (await one.get("a")).owner == gone.session_id  # type: ignore[union-attr]  # it is there
    assert await one.begin_send(sending("b"), ROOMY)
    assert (await one.get("b")).owner == one.session_id  # type: ignore[union-attr]  # it is there


async def test_another_accounts_orphan_stays_one(books: Books) -> None:
    """A book cannot drive what another key pays for."""
    gone, other = await books.open(), await books.open("account-2")
    await gone.insert(job())
    await gone.close()
    assert await other.apply(step("abandon"))
    assert (await other.get("dog")).owner == gone.session_id  # type: ignore[union-attr]  # it is there


# --- news -------------------------------------------------------------------------------------------------------


async def test_the_first_news_is_all_that_is_not_over(books: Books) -> None:
    """What nobody drives is taken over, what others drive is told; what is over is not."""
    gone, one = await books.open(), await books.open()
    for key in ("a", "b", "over"):
        await gone.insert(job(key))
    await gone.apply(step("abandon", "over"))
    await one.insert(job("c"))
    await gone.close()
    two = await books.open()
    news = await two.changes(200.0)
    assert keys(news.taken_over) == ["a", "b"]
    assert {row.owner for row in news.taken_over} == {two.session_id}
    assert keys(news.changed) == ["c"]
    assert await two.changes(201.0) == LedgerChanges(gate=news.gate)
    assert (await one.changes(202.0)).taken_over == ()


async def test_a_call_whose_sender_is_gone_is_in_doubt(books: Books) -> None:
    """Nobody knows what became of it, and the timeline says why; it is never queued again by itself."""
    gone, one = await books.open(), await books.open()
    await gone.insert(job())
    await gone.begin_send(sending(), ROOMY)
    await gone.close()
    (row,) = (await one.changes(300.0)).taken_over
    assert (row.state, row.owner, row.token) == ("in_doubt", one.session_id, "token-dog")
    last = (await one.transitions("dog"))[-1]
    assert (last.event, last.before, last.after, last.at) == ("lose", "sending", "in_doubt", 300.0)
    assert last.evidence == {"why": "the sending process died"}


async def test_states_that_are_not_over_are_taken_over(books: Books) -> None:
    """Ready is over when nobody wants it saved; what is saved is over in any case."""
    gone = await books.open()
    for n, key in enumerate(("queued", "running", "ready", "saved", "kept-nowhere")):
        await gone.insert(job(key, save_to=None if n == 4 else f"clips/{key}.mp4"))
        for taken in (step("accept", key, task_id=key), step("complete", key), step("save", key))[: 2 if n == 4 else n]:
            if taken.event == "accept":
                await gone.begin_send(sending(key), ROOMY)
            await gone.apply(taken)
    await gone.close()
    one = await books.open()
    assert [(row.key, row.state) for row in (await one.changes(0.0)).taken_over] == [
        (k, k) for k in ("queued", "running", "ready")
    ]


async def test_an_owner_that_dies_later_is_noticed(books: Books) -> None:
    """Nothing is written when a process dies, and yet the next news has its jobs."""
    gone, one = await books.open(), await books.open()
    await gone.insert(job())
    assert (await one.changes(0.0)).taken_over == ()
    assert (await one.changes(1.0)).taken_over == ()
    await gone.close()
    assert keys((await one.changes(2.0)).taken_over) == ["dog"]


async def test_one_of_two_takes_over(books: Books) -> None:
    """Two that notice at once do not both drive it."""
    gone, one, two = await books.open(), await books.open(), await books.open()
    for n in range(20):
        await gone.insert(job(str(n)))
    await gone.close()
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(one.changes(0.0)), group.create_task(two.changes(0.0))
    taken = [*keys(first.result().taken_over), *keys(second.result().taken_over)]
    assert len(taken) == len(set(taken)) == 20


async def test_others_steps_are_news(books: Books) -> None:
    """Once each, ended jobs too, and one's own never."""
    one, two, looking = await books.open(), await books.open(), await books.open(None)
    await one.changes(0.0)
    await looking.changes(0.0)
    await two.insert(job())
    await one.insert(job("mine"))
    assert keys((await one.changes(1.0)).changed) == ["dog"]
    await two.apply(step("abandon"))
    (row,) = (await one.changes(2.0)).changed
    assert row.state == "abandoned"
    assert (await one.changes(3.0)).changed == ()
    assert keys((await looking.changes(4.0)).changed) == ["dog", "mine"]


async def test_other_accounts_are_no_news(books: Books) -> None:
    """Neither their jobs nor their calls nor their closings."""
    gone, ours = await books.open("account-2"), await books.open()
    await gone.insert(job(account="account-2"))
    await gone.begin_send(sending(), ROOMY)
    await gone.apply(step("lose"), closed_until=900.0)
    await gone.close()
    assert await ours.changes(0.0) == LedgerChanges()


async def test_a_book_for_looking_takes_nothing_over(books: Books) -> None:
    """It hears of all accounts and leaves everything where it is."""
    gone, other = await books.open(), await books.open("account-2")
    await gone.insert(job())
    await gone.begin_send(sending(), ROOMY)
    await other.insert(job("cat", account="account-2"))
    await gone.close()
    looking = await books.open(None)
    news = await looking.changes(0.0)
    assert news.taken_over == ()
    assert [(row.key, row.state) for row in news.changed] == [("dog", "sending"), ("cat", "queued")]


# --- hints ------------------------------------------------------------------------------------------------------


async def test_a_hint_reaches_the_driver(books: Books) -> None:
    """Whoever received it; told once more it is told again, and is one hint all the same."""
    one, two = await books.open(), await books.open()
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


async def test_an_unknown_token_is_no_hint(books: Books) -> None:
    """It is not kept."""
    book = await books.open()
    assert await book.add_hint("nonsense", "t1", 0.0) is False


async def test_an_earlier_attempts_token_still_leads_to_the_job(books: Books) -> None:
    """A callback can come after the job was sent again."""
    book = await books.open()
    await book.insert(job())
    await book.begin_send(sending(token="first"), ROOMY)
    await book.apply(step("requeue"))
    await book.begin_send(sending(token="second"), ROOMY)
    await book.changes(0.0)
    assert await book.add_hint("first", "t1", 0.0)
    assert (await book.changes(0.0)).hints == (CallbackHint(key="dog", token="first", task_id="t1"),)


async def test_a_later_owner_hears_a_hint_again(books: Books) -> None:
    """The first may have died before it could act on it; also when a step brought the job in."""
    gone = await books.open()
    for key in ("a", "b"):
        await gone.insert(job(key))
        await gone.begin_send(sending(key), ROOMY)
        await gone.add_hint(f"token-{key}", f"t-{key}", 0.0)
    assert keys((await gone.changes(0.0)).hints) == ["a", "b"]
    one = await books.open()
    await one.changes(0.0)
    await gone.close()
    assert await one.apply(step("lose", "b"))
    assert keys((await one.changes(1.0)).hints) == ["a", "b"]
    assert (await one.changes(2.0)).hints == ()


async def test_a_job_that_is_over_gets_no_hints(books: Books) -> None:
    """There is nothing left to look for."""
    book = await books.open()
    await book.insert(job())
    await book.begin_send(sending(), ROOMY)
    await book.apply(step("accept", task_id="t1"))
    await book.apply(step("fail"))
    assert await book.add_hint("token-dog", "t1", 0.0) is True
    assert (await book.changes(0.0)).hints == ()


# --- pruning ----------------------------------------------------------------------------------------------------

FINISHED_STATES = ("saved", "refused", "failed", "expired", "abandoned")


async def finish(session: LedgerSession, key: str, state: str, **columns: Any) -> None:
    """Submit a job and take it to *state*, which it reaches at 110.0."""
    await session.insert(job(key, **columns))
    if state == "abandoned":
        assert await session.apply(step("abandon", key, ended_at=110.0))
        return
    await session.begin_send(sending(key), ROOMY)
    await session.apply(step("accept", key, task_id=f"t-{key}"))
    if state in ("refused", "failed", "expired"):
        transition = step("fail", key, ended_at=110.0)
        assert await session.apply(attrs.evolve(transition, after=state))
        return
    await session.apply(step("complete", key, ended_at=110.0))
    if state == "saved":
        await session.apply(step("save", key))


async def test_prune_deletes_finished_jobs_with_their_history(books: Books) -> None:
    """Every finished state; a ready job is finished when it has no save target."""
    session = await books.open()
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


async def test_prune_keeps_jobs_that_ended_later(books: Books) -> None:
    """The limit itself is not before the limit, and a job without an end time is kept."""
    session = await books.open()
    await finish(session, "dog", "failed")
    await session.insert(job("undated"))
    await session.apply(step("abandon", "undated"))
    assert await session.prune(110.0) == 0
    assert keys(await session.jobs()) == ["dog", "undated"]
    assert await session.prune(1e12) == 1
    assert keys(await session.jobs()) == ["undated"]


async def test_prune_keeps_open_jobs(books: Books) -> None:
    """Queued, sending, running, in doubt, and ready with a save target, even if an end time was recorded."""
    session = await books.open()
    await session.insert(job("queued", ended_at=1.0))
    for key in ("sending", "running", "in_doubt"):
        await session.insert(job(key, ended_at=1.0))
        await session.begin_send(sending(key), ROOMY)
    await session.apply(step("accept", "running", task_id="t-running"))
    await session.apply(step("lose", "in_doubt"))
    await finish(session, "ready", "ready", save_to="clip.mp4")
    before = await session.jobs()
    assert [row.state for row in before] == ["queued", "sending", "running", "in_doubt", "ready"]
    assert await session.prune(1e12) == 0
    assert await session.jobs() == before
    assert [len(await session.transitions(row.key)) for row in before] == [1, 2, 3, 3, 4]
    assert await session.add_hint("token-in_doubt", "t9", 120.0) is True


async def test_pruned_key_is_free_again(books: Books) -> None:
    """The key, its task and its token can be used for a new job, which comes last in the order."""
    session = await books.open()
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
    assert await session.apply(step("accept", task_id="t-dog"))


async def test_prune_leaves_other_accounts_alone(books: Books) -> None:
    """A session prunes its own account; one without an account prunes all, as it lists all."""
    session, other, inspector = await books.open(), await books.open("account-2"), await books.open(None)
    await finish(session, "dog", "failed")
    await finish(other, "cat", "failed", account="account-2")
    assert await session.prune(1e12) == 1
    assert keys(await inspector.jobs()) == ["cat"]
    assert len(await other.transitions("cat")) == 4
    assert await other.add_hint("token-cat", "t-cat", 120.0) is True
    assert await inspector.prune(1e12) == 1
    assert await inspector.jobs() == []


async def test_prune_does_not_disturb_another_sessions_view(books: Books) -> None:
    """Another session gets no change from it, and misses none that comes after it."""
    one, two = await books.open(), await books.open()
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
    await two.apply(step("lose", "a"))
    assert keys((await one.changes(4.0)).changed) == ["a"]


async def test_prune_keeps_sent_calls_that_count_towards_the_rate_limit(books: Books) -> None:
    """A call of a job that has just ended still takes up room in the window; a call of long ago is deleted."""
    one, two = await books.open(), await books.open()
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


async def test_others_calls_use_up_the_room(books: Books) -> None:
    """A refused permit writes nothing and names the time when there is room."""
    one, two = await books.open(), await books.open()
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
    assert (await two.get("dog")).state == "queued"  # type: ignore[union-attr]  # it is there
    assert await two.add_hint("token-dog", "t", 0.0) is False
    granted = await two.begin_send(sending(at=110.0), RateClaim(limit=4, window_s=10.0, own_calls=1))
    assert granted is not None
    assert granted.is_granted
    assert granted.gate == AccountActivity()


async def test_ones_own_calls_are_counted_by_the_claim(books: Books) -> None:
    """The ledger adds only the others'; its own gate knows the session's."""
    book = await books.open()
    for n in range(5):
        await book.insert(job(str(n)))
        permit = await book.begin_send(sending(str(n), at=100.0), RateClaim(limit=1, window_s=10.0, own_calls=0))
        assert permit is not None
        assert permit.is_granted


async def test_an_answered_call_counts_from_its_answer(books: Books) -> None:
    """The provider counted it some time in between, so the later time is the safe one; it is told once."""
    one, two = await books.open(), await books.open()
    await one.insert(job())
    await one.begin_send(sending(at=100.0), ROOMY)
    assert (await two.changes(101.0)).gate.calls == (100.0,)
    await one.apply(step("accept", at=104.0, task_id="t1"))
    assert (await two.changes(105.0)).gate.calls == ()
    await two.insert(job("cat"))
    refused = await two.begin_send(sending("cat", at=112.0), RateClaim(limit=1, window_s=10.0, own_calls=0))
    assert refused is not None
    assert refused.gate == AccountActivity(closed_until=114.0)
    granted = await two.begin_send(sending("cat", at=114.0), RateClaim(limit=1, window_s=10.0, own_calls=0))
    assert granted is not None
    assert granted.is_granted


async def test_a_closed_gate_is_closed_for_the_others(books: Books) -> None:
    """Whoever was told 429 knows it from its own gate; everybody else hears it here, latest word first."""
    one, two = await books.open(), await books.open()
    for key in ("a", "b"):
        await one.insert(job(key))
    await one.begin_send(sending("a"), ROOMY)
    await one.apply(step("requeue", "a"), closed_until=150.0)
    await one.begin_send(sending("a"), ROOMY)
    await one.apply(step("requeue", "a"), closed_until=140.0)
    assert (await one.changes(0.0)).gate.closed_until == 0.0
    assert (await two.changes(0.0)).gate.closed_until == 150.0
    assert (await two.changes(1.0)).gate.closed_until == 150.0
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


async def test_a_closed_gate_outlives_its_teller(books: Books) -> None:
    """A session that starts after a crash must not run into the same wall."""
    gone = await books.open()
    await gone.insert(job())
    await gone.begin_send(sending(), ROOMY)
    await gone.apply(step("requeue"), closed_until=150.0)
    await gone.close()
    one = await books.open()
    assert (await one.changes(0.0)).gate == AccountActivity(calls=(101.0,), closed_until=150.0)


async def test_a_refused_step_closes_nothing(books: Books) -> None:
    """Nothing written is nothing written."""
    one, two = await books.open(), await books.open()
    assert await one.apply(step("requeue"), closed_until=150.0) is False
    assert (await two.changes(0.0)).gate.closed_until == 0.0


async def test_knowledge_is_kept_for_the_account(books: Books) -> None:
    """The last word, for later sessions of the same account."""
    one, other = await books.open(), await books.open("account-2")
    assert await one.account.knowledge() is None
    await one.save_knowledge('{"limit": 20}')
    await one.save_knowledge('{"limit": 25}')
    await one.close()
    assert await (await books.open()).knowledge() == '{"limit": 25}'
    assert await other.account.knowledge() is None


# --- books ------------------------------------------------------------------------------------------------------


async def test_books_have_names_of_their_own_and_one_secret(books: Books) -> None:
    """The secret is the ledger's and stays the same."""
    one, two = await books.open(), await books.open()
    assert one.session_id != two.session_id
    assert one.secret == two.secret
    assert len(one.secret) >= 16
    assert one.secret.hex() not in repr(one)


async def test_a_closed_book_says_so(books: Books) -> None:
    """Closing twice is no mistake, calling is."""
    book = await books.open()
    await book.close()
    await book.close()
    for call in (book.insert(job()), book.apply(step("abandon")), book.changes(0.0), book.jobs(), book.get("dog")):
        with pytest.raises(LedgerError, match="closed"):
            await call


async def test_a_cancelled_caller_disturbs_nobody(books: Books) -> None:
    """Neighbours in its batch are answered, its own step comes to be, and the order stays."""
    book = await books.open()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(book.insert(job(str(n)))) for n in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
    assert keys(await book.jobs()) == [str(n) for n in range(30)]
    for n, task in enumerate(tasks):
        assert task.cancelled() or task.result().key == str(n)


async def test_news_is_not_lost_with_its_caller(books: Books) -> None:
    """Jobs that were taken over for a caller that was cancelled are told to the next."""
    gone, one = await books.open(), await books.open()
    await gone.insert(job())
    await gone.begin_send(sending(), ROOMY)
    await gone.add_hint("token-dog", "t1", 0.0)
    await gone.close()
    asking = asyncio.create_task(one.changes(0.0))
    for _ in range(3):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    news = asking.result() if not asking.cancelled() else await one.changes(1.0)
    assert keys(news.taken_over) == ["dog"]
    assert keys(news.hints) == ["dog"]
    assert news.gate.calls == (101.0,)


async def test_closing_waits_for_what_was_called_for(books: Books) -> None:
    """Nothing that was begun is lost by closing at once."""
    book = await books.open()
    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(book.insert(job(str(n))))
        await asyncio.sleep(0)
        await book.close()
    assert len(await (await books.open()).jobs()) == 20


def test_the_account_is_what_it_says() -> None:
    """The helpers' account is the books'."""
    assert job().account == ACCOUNT
