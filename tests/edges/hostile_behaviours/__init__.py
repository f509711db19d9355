"""What the hostile provider does to a response. Every function is one behaviour, in a table by its name."""

from . import bodies, connections, records  # noqa: F401  # they fill the table
from .callbacks import CALLBACK_LIES as CALLBACK_LIES
from .exchange import BEHAVIOURS as BEHAVIOURS
from .exchange import Behaviour as Behaviour
from .exchange import Exchange as Exchange
from .exchange import respond_honestly as respond_honestly

#: Behaviours under which a promise does not hold yet; the attack leaves them out.
UNREPAIRED = frozenset(
    {
        # It arrives when the next request is already written: HTTP/1.1 cannot tell whose response it is.
        "late-duplicate-response",
        "record-instead-of-acceptance",  # the job is bound to the task of another job, and saves its clip
        "task-id-of-another-job",  # the job is bound to the task of another job, and saves its clip
    }
)
#: Behaviours that may end the job of a task: a failure that is repeated, a file at no usable address, and no record for
#: longer than new records ever took.
DECISIVE = frozenset({"other-flag", "dangerous-urls", "no-record"})
