"""The opponent: what a good engineer writes in an afternoon with aiohttp, and every comparison is with it.

A sliding window of 20 requests per 10 s, one pause for all after a 429, a semaphore for the tasks that may run at the
same time, a late first poll and then a fixed interval, at most 128 connections. Optionally a SQLite row per job, which
is committed before the request is sent, before the task id is used, and before the result is returned.

It is given what `veo_async` has to find out: the limits of the account, and when to poll. It sends a creating request
again after a 429 only, and a poll after any error; a job that fails does not harm the others. It checks nothing but the
code, and does not continue after a crash. A creating request whose response is lost fails its job.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import aiohttp

#: Sends one request and returns the parsed body: method, path with query, JSON body.
Send = Callable[[str, str, Any], Awaitable[Any]]

_TABLE: Final = "CREATE TABLE job (number INTEGER PRIMARY KEY, prompt TEXT, state TEXT, task_id TEXT, urls TEXT)"


class Window:
    """At most *limit* requests in any *window_s* seconds, counted when they are sent."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._window_s = window_s
        self._sent: deque[float] = deque(maxlen=limit)
        self._paused_until = 0.0
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Wait until a request may be sent."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            while (at := self._ready_at()) > loop.time():  # noqa: ASYNC110  # a pause may have begun
                await asyncio.sleep(at - loop.time())
            self._sent.append(loop.time())

    def _ready_at(self) -> float:
        is_full = len(self._sent) == self._sent.maxlen
        return max(self._paused_until, self._sent[0] + self._window_s if is_full else 0.0)

    def pause(self, seconds: float) -> None:
        """Send nothing for *seconds*."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)


class Database:
    """One row per job. Each method commits."""

    def __init__(self, path: Path, journal: str = "WAL", synchronous: str = "FULL") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for statement in (f"PRAGMA journal_mode = {journal}", f"PRAGMA synchronous = {synchronous}", _TABLE):
            self._connection.execute(statement)
        self.close = self._connection.close

    def insert(self, number: int, prompt: str) -> None:
        self._connection.execute("INSERT INTO job VALUES (?, ?, 'sending', NULL, NULL)", (number, prompt))

    def accepted(self, number: int, task_id: str) -> None:
        self._connection.execute("UPDATE job SET state = 'running', task_id = ? WHERE number = ?", (task_id, number))

    def done(self, number: int, urls: list[str]) -> None:
        sql = "UPDATE job SET state = 'done', urls = ? WHERE number = ?"
        self._connection.execute(sql, (json.dumps(urls), number))


class Client:
    """Makes clips for prompts: at most *limit* requests per window, and *max_running* tasks at the same time.

    A task is polled *first_s* seconds after it was accepted, and then every *every_s* seconds.
    """

    def __init__(
        self,
        send: Send,
        *,
        limit: tuple[int, float] = (20, 10.0),
        max_running: int,
        first_s: float,
        every_s: float,
        database: Database | None = None,
    ) -> None:
        self._send, self._first_s, self._every_s, self._database = send, first_s, every_s, database
        self._window, self._slots = Window(*limit), asyncio.Semaphore(max_running)

    async def run(self, prompts: Iterable[str], model: str = "veo3_fast") -> list[list[str] | Exception]:
        """Return the URLs of each clip or why there is none, in order."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._run_one(n, prompt, model)) for n, prompt in enumerate(prompts)]
        return [task.result() for task in tasks]

    async def _run_one(self, number: int, prompt: str, model: str) -> list[str] | Exception:
        try:
            async with self._slots:
                if self._database is not None:
                    self._database.insert(number, prompt)
                task_id = await self._create(prompt, model)
                if self._database is not None:
                    self._database.accepted(number, task_id)
                urls = await self._wait(task_id)
            if self._database is not None:
                self._database.done(number, urls)
        except Exception as error:  # noqa: BLE001  # only this job fails
            return error
        return urls

    async def _create(self, prompt: str, model: str) -> str:
        request = {"prompt": prompt, "model": model, "aspect_ratio": "16:9", "enableTranslation": True}
        while True:
            await self._window.wait()
            body = await self._send("POST", "/api/v1/veo/generate", request)
            if body["code"] == 200:
                return str(body["data"]["taskId"])
            if body["code"] != 429:
                raise RuntimeError(body["msg"])
            self._window.pause(float(body.get("retryAfter") or 5.0))

    async def _wait(self, task_id: str) -> list[str]:
        await asyncio.sleep(self._first_s)
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError):
                record = (await self._send("GET", f"/api/v1/veo/record-info?taskId={task_id}", None))["data"]
                if record["successFlag"] == 1:
                    return list(record["response"]["resultUrls"])
                if record["successFlag"] in (2, 3):
                    raise RuntimeError(record["errorMessage"])
            await asyncio.sleep(self._every_s)


def over_aiohttp(base_url: str, key: str) -> tuple[aiohttp.ClientSession, Send]:
    """Return a session, to be closed, and how to send with it."""
    connector = aiohttp.TCPConnector(limit=128)
    http = aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {key}"})

    async def send(method: str, path: str, body: Any) -> Any:
        async with http.request(method, base_url + path, json=body) as response:
            parsed = json.loads(await response.read())
            if parsed["code"] == 429:
                parsed["retryAfter"] = response.headers.get("Retry-After")
            return parsed

    return http, send
