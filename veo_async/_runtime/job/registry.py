"""The jobs of one session, by key and by task."""

import asyncio

import attrs

from .live_job import Entry


@attrs.define(eq=False)
class Roster:
    """Every job that this session drives or follows."""

    by_key: dict[str, Entry] = attrs.field(factory=dict)
    by_task: dict[str, Entry] = attrs.field(factory=dict)
    #: Something has left the queue.
    moved_on: asyncio.Event = attrs.field(factory=asyncio.Event)

    def add(self, entry: Entry) -> None:
        """*entry* is known here from now on, in place of one of its key that has ended."""
        self.by_key[entry.key] = entry
        if entry.task_id is not None:
            self.by_task[entry.task_id] = entry
