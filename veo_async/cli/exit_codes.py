"""Exit codes of the commands, and what they mean."""

ALL_DONE, ERROR, USAGE, PARTIAL, SOME_IN_DOUBT, STOPPED = range(6)
INTERRUPTED = 130

#: As the help prints them.
MEANINGS: dict[int, str] = {
    ALL_DONE: "everything finished",
    ERROR: "any other error",
    USAGE: "usage error; nothing was sent",
    PARTIAL: "some clips were refused, failed or not sent",
    SOME_IN_DOUBT: "some jobs are in doubt",
    STOPPED: "stopped before everything finished",
    INTERRUPTED: "interrupted, without waiting for running clips",
}
