"""Watches the forge: acts on webhooks, asks at start and every two minutes, and records what happened.

A webhook is a hint, the forge is the truth; without a token for it the webhook's body is all there is.
"""

import asyncio
import logging
from http import HTTPStatus

from reconciler.core import overlay, repositories, watched
from reconciler.core.desired import Desired, Forge
from reconciler.edges import MEMORY_LOST, Edges
from reconciler.forge.client import Client, ForgeRefused, ForgeUnreachable
from reconciler.forge.payloads import Hint, IssueNews, Nothing, PullNews, Pushed
from reconciler.repo.inbox import Delivery
from reconciler.watching import forgelook, forgenews, intake
from reconciler.watching.forgelook import Scene
from reconciler.watching.forgenews import News
from reconciler.watching.forgeplaces import LATER_S, Marks, Place, Places
from reconciler.watching.intake import IntakeDelayed
from reconciler.watching.once import Once

log = logging.getLogger(__name__)

MAX_DELIVERIES = 20
"""Deliveries that are in memory at a time: each may be a mebibyte."""

MAX_TOLD = 1000


class ForgeWatch:
    """The watch over one fleet's forge."""

    def __init__(self, edges: Edges) -> None:
        """Watch nothing yet; `follow` says for what."""
        self._edges = edges
        self._news = News(edges)
        self._places = Places()
        self._desired: Desired | None = None
        self._client: Client | None = None
        self._taken = 0
        self._unread = True
        self._again_s = float("inf")
        self._reading = False
        self._last_scene: Scene | None = None
        self._told = Once(MAX_TOLD)
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def follow(self, desired: Desired) -> None:
        """Watch for these tasks from now on."""
        before, self._desired = self._desired, desired
        client = self._edges.forge.client
        if before is None or client is not self._client or before.settings.forge != desired.settings.forge:
            self._client, self._places = client, Places()
            self._taken, self._unread = 0, True
            self._wake.set()
        elif overlay.differing(desired.tasks, before.tasks):
            self._wake.set()
        if self._task is None and desired.settings.forge is not None:
            self._task = asyncio.create_task(self._watch(), name="watch the forge")

    async def first_look(self) -> None:
        """Return once the forge was asked for the first time, or did not answer."""
        if self._task is not None:
            await self._looked.wait()

    def check(self) -> None:
        """Raise what the watch failed with that cannot be tried again: a branch that moved, a full disk, a defect."""
        task = self._task
        if task is not None and task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error

    def pending(self) -> bool:
        """Whether webhooks wait to be acted on, and can be: not where only a silent forge could say what they mean."""
        if self._task is None or self._task.done() or self._forge is None:
            return False
        if self._unread or self._reading or self._edges.delivered.is_set():
            return self._client is None or not self._places.silent
        return self._places.marked(_clock_s())

    async def close(self) -> None:
        """End the watch; webhooks that wait are acted on at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _forge(self) -> Forge | None:
        return self._desired.settings.forge if self._desired is not None else None

    async def _watch(self) -> None:
        try:
            while True:
                self._wake.clear()
                before = self.pending()
                pause_s = await self._round()
                self._looked.set()
                if before and not self.pending():
                    self._edges.changed()
                await self._rest(pause_s)
        finally:
            self._looked.set()
            self._edges.changed()

    async def _round(self) -> float:
        """Act on what came, ask about what is due, and say after how many seconds to do so again."""
        while True:
            await self._take_deliveries()
            scene = self._scene()
            if scene is None or self._client is None:
                return min(watched.SELDOM_S, max(self._again_s - _clock_s(), 0.0))
            by_place = scene.by_place()
            self._places.arrange([*(one.repository for one in scene.tasks), *scene.forge.repositories])
            place = self._places.next(by_place, self._edges.now(), _clock_s())
            if place is None:
                return self._places.pause_s(by_place, self._edges.now(), _clock_s())
            try:
                await self._look(place, scene, self._client)
            finally:
                self._reading = False

    def _scene(self) -> Scene | None:
        """What holds now, made anew only where something changed: there may be thousands of tasks."""
        desired, seen, known = self._desired, self._edges.branch.tasks(), self._last_scene
        if desired is None or desired.settings.forge is None:
            return None
        if known is None or known.desired is not desired or known.seen is not seen:
            tasks = watched.tasks(desired, seen)
            where = watched.placed(tasks)
            known = Scene(desired=desired, forge=desired.settings.forge, seen=seen, tasks=tasks, where=where)
            self._last_scene = known
        return known

    async def _rest(self, pause_s: float) -> None:
        waiting = {asyncio.ensure_future(event.wait()) for event in (self._edges.delivered, self._wake)}
        try:
            await asyncio.wait(waiting, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiting:
                waiter.cancel()

    async def _take_deliveries(self) -> None:
        """Act on what came, or mark what is to be read again because of it."""
        if self._edges.delivered.is_set():
            self._edges.delivered.clear()
            self._unread = True
        if self._again_s <= _clock_s():
            self._taken, self._unread, self._again_s = 0, True, float("inf")
        while self._unread and self._forge is not None:
            places = self._places
            found = await asyncio.to_thread(self._edges.inbox.waiting, MAX_DELIVERIES, after=self._taken)
            done = [delivery.number for delivery in found if await self._take(delivery)]
            if done:
                await asyncio.to_thread(self._edges.inbox.acted_on, *done)
            if self._places is places:
                self._taken = found[-1].number if found else self._taken
                self._unread = len(found) == MAX_DELIVERIES

    async def _take(self, delivery: Delivery) -> bool:
        """Whether nothing more is to be done because of a delivery."""
        scene = self._scene()
        if scene is None:
            return False
        meters = self._edges.meters
        try:
            hint = forgenews.hint(delivery, scene.forge, self._edges.lead)
            done = await self._act(hint, delivery, scene)
        except IntakeDelayed:
            self._again_s = _clock_s() + LATER_S
            meters.followed("delayed")
            return False
        except MEMORY_LOST:
            raise
        except Exception:
            log.exception("delivery %s met a defect of this program; please report it", delivery.number)
            meters.followed("failed")
            return True
        meters.followed("nothing" if isinstance(hint, Nothing) else "done")
        return done

    async def _act(self, hint: Hint, delivery: Delivery, scene: Scene) -> bool:
        if isinstance(hint, Pushed):
            await self._news.moved(watched.on_branch(scene.where, hint.repository, hint.branch))
        if isinstance(hint, Nothing):
            log.debug("delivery %s: %s", delivery.number, hint.why)
        elif self._client is None:
            await self._believe(hint, scene)
        elif marks := _marks(hint, delivery.number, scene):
            self._places.mark(forgenews.repository_of(hint), marks)
            return False
        return True

    async def _believe(self, hint: PullNews | Pushed | IssueNews, scene: Scene) -> None:
        """Act on what a delivery says, where nobody can be asked."""
        if isinstance(hint, PullNews):
            shown = forgenews.body(hint)
            await self._news.record([(one, shown) for one in watched.about(scene.where, hint.pull)], scene.forge)
        elif isinstance(hint, IssueNews):
            await intake.take(self._edges, scene.desired, [hint.issue])

    async def _look(self, place: Place, scene: Scene, client: Client) -> None:
        """Look at one repository, and say what came of it."""
        marks = place.take(_clock_s())
        self._reading = bool(marks)
        locked_out: str | None = None
        try:
            for line in await forgelook.look(self._news, client, scene, place, marks):
                self._tell(line)
        except ForgeUnreachable as error:
            place.put_back(marks)
            if client is self._edges.forge.client:
                self._unanswered(place, error)
            return
        except ForgeRefused as error:
            self._tell(f"{place.name}: {error}")
            self._give_up(place, scene)
            locked_out = str(error) if error.status == HTTPStatus.UNAUTHORIZED else None
        except MEMORY_LOST:
            raise
        except Exception:
            if client is not self._edges.forge.client:
                return
            log.exception("looking at %s met a defect of this program; please report it", place.name)
            self._give_up(place, scene)
        self._places.answered(place)
        if locked_out is None:
            self._edges.forge.answered()
        else:
            self._edges.forge.fell_silent(locked_out)
        done = [*marks.deliveries, *marks.issue_deliveries]
        if done:
            await asyncio.to_thread(self._edges.inbox.acted_on, *done)

    def _give_up(self, place: Place, scene: Scene) -> None:
        """Leave a repository alone until it is due again."""
        tasks = scene.by_place().get(repositories.key(place.name), ())
        place.looked(tasks, _clock_s() + watched.SELDOM_S - watched.OFTEN_S, thorough=True)

    def _unanswered(self, place: Place, error: ForgeUnreachable) -> None:
        retry_after_s = error.retry_after.total_seconds() if error.retry_after is not None else None
        self._places.failed(place, _clock_s(), retry_after_s)
        log.info("%s: %s; it will be asked again", place.name, error)
        if self._places.silent:
            self._edges.forge.fell_silent(str(error))

    def _tell(self, line: str) -> None:
        """Tell something once."""
        if self._told.is_news(line):
            self._edges.warn(line)


def _marks(hint: PullNews | Pushed | IssueNews, number: int, scene: Scene) -> Marks:
    """What is to be read again because of a delivery; nothing where no task is concerned."""
    match hint:
        case PullNews(pull=pull) if watched.about(scene.where, pull):
            reopened = {pull.number} if hint.reopened else set()
            return Marks(pulls={pull.number: hint.by}, reopened=reopened, deliveries=[number])
        case Pushed():
            tasks = watched.on_branch(scene.where, hint.repository, hint.branch)
            return Marks(pulls={one.own: hint.by for one in tasks if one.own is not None}, deliveries=[number])
        case IssueNews():
            return Marks(issues={hint.issue.number: hint.issue.vouched}, issue_deliveries=[number])
        case _:
            return Marks()


def _clock_s() -> float:
    return asyncio.get_running_loop().time()
