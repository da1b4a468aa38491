"""To which host and which fleet a run belongs.

It asks nobody: the host's file and the name of the run say it.
"""

from reconciler.core.desired import Desired, Document, Host
from reconciler.core.observed import Run
from reconciler.transport import Unreachable


def host_of(desired: Desired, run: Run) -> Document[Host]:
    """The host of a run; `Unreachable` where its file is gone and no good version is known."""
    if run.host not in desired.hosts:
        raise Unreachable(f"{run.host}: hosts/{run.host}.yaml is gone: bring it back")
    return desired.hosts[run.host]


def fleet_of(run: Run) -> str:
    """The id of the fleet, from the name of the run."""
    return run.run_id.partition(".")[0]
