"""How long pull agents hold their runs: what a lease that ran out means, and when.

It gives and renews none.
"""

from datetime import datetime

from reconciler.core.desired import Desired
from reconciler.core.observed import Lease, Observed, Run


def of_run(task_id: str, run: Run, observed: Observed) -> Lease | None:
    """The lease on the run; `None` where none is known."""
    lease = observed.leases.get(task_id)
    return lease if lease is not None and lease.epoch == run.epoch else None


def lost_at(task_id: str, run: Run, desired: Desired, observed: Observed) -> datetime | None:
    """When the run is lost unless a word of its agent comes; `None` where no lease is known: then it is not."""
    lease = of_run(task_id, run, observed)
    return lease.until + desired.settings.lost_after.pull if lease is not None else None


def is_longer(lease: Lease | None, before: Lease | None) -> bool:
    """Whether it is the lease from before, held for longer: then nothing falls due sooner than was known."""
    if lease is None or before is None:
        return False
    return lease.epoch == before.epoch and lease.until >= before.until
