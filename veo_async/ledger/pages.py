"""Reads the jobs of a ledger page by page, so that any number of them needs little memory."""

from collections.abc import AsyncIterator, Sequence

from veo_async._ports import JobQuery, JobRow, LedgerSession


async def pages(ledger: LedgerSession, query: JobQuery, limit: int | None = None) -> AsyncIterator[Sequence[JobRow]]:
    """Yield the jobs of *query* in the order of their times of submission, one page at a time; no page is empty.

    Args:
        limit: only the newest N jobs of these.
    """
    after = None if limit is None else await ledger.before_newest(query, limit)
    while True:
        page = await ledger.page(query, after)
        rows = page.rows[:limit]  # jobs that were submitted since do not count
        if rows:
            yield rows
        after, limit = page.next, None if limit is None else limit - len(rows)
        if after is None or limit == 0:
            return
