"""`prompt`: what an agent would get to read.

It starts nothing.
"""

from reconciler.commands import reading
from reconciler.commands.command import Command
from reconciler.commands.session import NotGood, Session
from reconciler.core import prompt as prompts
from reconciler.core import upcoming
from reconciler.core.observed import ObservedTask


def prompt(session: Session, *, task: str, json: bool = False) -> int:
    """Print a task's prompt exactly as an agent would get it.

    After a run that delivered nothing that is first what is missing, in a review round first the reviews. Without
    `base` in the task's file the branch that the work starts from is only known once the repository is cloned: then
    the prompt names the remote's default.
    """
    view = reading.load(session)
    document = view.desired.tasks.get(view.known(task))
    if document is None:
        raise NotGood(f"{task} has no task file in force: {view.desired.refused.get(task, 'its file is gone')}")
    adapter = view.desired.adapters.get(document.value.adapter or "")
    seen = view.observed.tasks.get(task, ObservedTask())
    text = upcoming.text(document.value, adapter.value if adapter else None, seen)
    if json:
        session.screen.json({"id": task, "prompt": text, "sha256": prompts.digest(text)})
    else:
        session.screen.output(text.encode(errors="surrogateescape"))
    return 0


COMMANDS = (
    Command(
        name="prompt",
        group="Look",
        does=prompt,
        positional="task",
        options={"task": "the task's id", "json": "print it as JSON, with its digest"},
        example="reconciler prompt fix-the-login-form",
    ),
)
