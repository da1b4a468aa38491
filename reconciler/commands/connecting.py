"""Connects the repositories of a forge with this program: looks at token and webhooks, mends what is not right.

It lists before it makes anything, and touches no webhook that goes elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.core.desired import Forge
from reconciler.forge import hooks
from reconciler.forge.client import Client, ForgeRefused, ForgeUnreachable, Hook


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found or done. `wrong`: a person must do something about it."""

    state: Literal["right", "done", "wrong", "note"]
    message: str
    repository: str | None = None
    hook: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to stand on the forge: in each repository one webhook to `url`, signed with `secret`.

    Without `secret` nothing is changed. `rotate`: webhooks that stand there get the secret, by new ones in their place.
    """

    forge: Forge
    url: str
    repositories: Sequence[str]
    secret: str | None = None
    rotate: bool = False


async def connect(client: Client, wish: Wish, told: Callable[[int], None] | None = None) -> list[Finding]:
    """Everything found and done, in order; it ends early where the forge does not answer.

    `told` hears how many repositories are done.
    """
    findings: list[Finding] = []
    try:
        login = await _account(client, findings)
        for done, repository in enumerate(wish.repositories, 1):
            await _Connecting(client, wish, repository, findings).run(login)
            if told is not None:
                told(done)
    except ForgeUnreachable as error:
        findings.append(Finding(state="wrong", message=f"{error}; run this again then"))
    return findings


async def _account(client: Client, findings: list[Finding]) -> str | None:
    try:
        login = await client.login()
    except ForgeRefused as error:
        findings.append(Finding(state="wrong", message=str(error)))
        return None
    findings.append(Finding(state="right", message=f"the token is that of {login}"))
    return login


class _Connecting:
    """One repository."""

    def __init__(self, client: Client, wish: Wish, repository: str, findings: list[Finding]) -> None:
        self._client = client
        self._wish = wish
        self._repository = repository
        self._findings = findings

    async def run(self, login: str | None) -> None:
        try:
            if login is not None:
                await self._may_write(login)
            await self._webhooks()
        except ForgeRefused as error:
            self._say("wrong", str(error))

    async def _may_write(self, login: str) -> None:
        try:
            may = await self._client.may_write(self._repository, login)
        except ForgeRefused as error:
            self._say("note", f"whether {login} may write cannot be seen: {error}")
            return
        if not may:
            self._say(
                "wrong",
                f"{login} may not write there; make it a collaborator (administrator, while webhooks are set up)",
            )

    async def _webhooks(self) -> None:
        wish = self._wish
        there = [one for one in await self._client.hooks(self._repository) if one.url == wish.url]
        there.sort(key=lambda one: (bool(hooks.lacks(one, wish.forge.kind)), one.id))
        if wish.rotate and wish.secret is not None:
            await self._rotate(there, wish.secret)
            return
        if there:
            await self._look(there[0])
        elif wish.secret is not None:
            await self._tested("made", await self._client.create_hook(self._repository, wish.url, wish.secret))
        else:
            self._say("wrong", f"no webhook goes to {wish.url}; run `reconciler forge setup`")
        if len(there) > 1:
            others = ", ".join(str(one.id) for one in there[1:])
            self._say(
                "wrong",
                f"webhook {others} goes there as well, so that everything comes again; delete it on the forge, or run "
                "`reconciler forge setup --rotate`, which puts one in place of all",
            )

    async def _look(self, hook: Hook) -> None:
        lacks = hooks.lacks(hook, self._wish.forge.kind)
        if self._wish.secret is None:
            if lacks:
                why = "; ".join(lacks)
                self._say("wrong", f"webhook {hook.id} is not right: {why}; run `reconciler forge setup`", hook)
            else:
                self._say("right", f"webhook {hook.id} is right", hook)
            return
        mended = await self._client.repair_hook(self._repository, hook) if lacks else hook
        await self._tested("mended" if lacks else "right", mended)

    async def _rotate(self, there: Sequence[Hook], secret: str) -> None:
        """The only way that works: Forgejo and Gitea ignore another secret, and forget the events on top of that."""
        made = await self._client.create_hook(self._repository, self._wish.url, secret)
        await self._tested("made", made)
        for old in there:
            await self._client.delete_hook(self._repository, old)
            self._say("done", f"webhook {old.id} with the secret before is deleted", old)

    async def _tested(self, what: Literal["made", "mended", "right"], hook: Hook) -> None:
        lacks = hooks.lacks(hook, self._wish.forge.kind)
        if lacks:
            why = "; ".join(lacks)
            self._say("wrong", f"webhook {hook.id} is still not right: {why}; see it on the forge", hook)
            return
        try:
            await self._client.test_hook(self._repository, hook)
        except ForgeRefused as error:
            self._say("note", f"webhook {hook.id} is {what}, but could not be tested: {error}", hook)
            return
        state: Literal["right", "done"] = "right" if what == "right" else "done"
        self._say(state, f"webhook {hook.id} is {what}; a test delivery is on its way", hook)

    def _say(self, state: Literal["right", "done", "wrong", "note"], message: str, hook: Hook | None = None) -> None:
        number = hook.id if hook is not None else None
        self._findings.append(Finding(state=state, message=message, repository=self._repository, hook=number))
