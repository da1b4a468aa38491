"""The prompt that the next run of a task would get.

It sends nothing; what a prompt looks like is `prompt`'s part.
"""

from reconciler.core import ending, prompt, rounds
from reconciler.core.desired import Adapter, Task
from reconciler.core.observed import ObservedTask


def text(task: Task, adapter: Adapter | None, seen: ObservedTask) -> str:
    """The prompt of the next run; without a `base` it names the remote's default branch.

    After a run that delivered nothing it says first what is missing, in a review round first the reviews.
    """
    reviews = rounds.to_address(seen) if seen.rework else ()
    return prompt.build(task, adapter, base=task.base, reviews=reviews, missed=ending.missed(seen))
