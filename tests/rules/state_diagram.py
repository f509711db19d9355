"""The life of a job as a picture, drawn from the table that the library goes by."""

from veo_async._rules.lifecycle import TABLE, JobState


def as_mermaid() -> str:
    """The diagram in the README, as its source."""
    arrows = [f"    {state} --> {after}: {event}" for state, ways in TABLE.items() for event, after in ways.items()]
    finals = [f"    {state} --> [*]" for state, ways in TABLE.items() if not ways]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {JobState.QUEUED}: plan", *arrows, *finals]) + "\n"


if __name__ == "__main__":
    print(as_mermaid(), end="")
