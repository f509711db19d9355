"""Exit codes of the commands.

===== ==============================================
0     everything finished
1     any other error
2     usage error
3     some clips were refused or failed
4     some jobs are in doubt
5     stopped before everything finished
130   interrupted, without waiting for running clips
===== ==============================================
"""

ALL_DONE, ERROR, USAGE, PARTIAL, SOME_IN_DOUBT, STOPPED = range(6)
INTERRUPTED = 130
