"""A job's lifecycle as a diagram, generated from the table that the library uses."""

from veo_async._rules.lifecycle import TABLE, JobState


def as_mermaid() -> str:
    """Return the source of the diagram in the README."""
    arrows = [f"    {state} --> {after}: {event}" for state, events in TABLE.items() for event, after in events.items()]
    finals = [f"    {state} --> [*]" for state, events in TABLE.items() if not events]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {JobState.QUEUED}: submit", *arrows, *finals]) + "\n"


if __name__ == "__main__":
    print(as_mermaid(), end="")
