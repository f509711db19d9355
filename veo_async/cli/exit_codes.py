"""What a command's exit code says, and the console on which commands speak.

== ======================================
0  all done
1  anything else that went wrong
2  usage: nothing was sent
3  some clips were refused or failed
4  some are in doubt
5  stopped before all had ended
== ======================================

130 is an interrupt that stopped at once.
"""

from rich.console import Console

ALL_DONE, ERROR, USAGE, PARTIAL, SOME_IN_DOUBT, STOPPED = range(6)
INTERRUPTED = 130

console: Console = Console(highlight=False)
