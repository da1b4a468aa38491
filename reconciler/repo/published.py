"""What was published on the forge, what it refused, and since when it does not answer; kept in the journal.

Losing it costs a few questions: every publication looks first whether it stands already.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.core.observed import Held
from reconciler.repo.journal import Journal

MAX_DONE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """The forge does not answer since then; `reason` is what was met first."""

    since: datetime
    reason: str


class Published:
    """The publications of one fleet, over its journal."""

    def __init__(self, journal: Journal) -> None:
        """Read what is known."""
        self._journal = journal
        self._done = frozenset(str(row[0]) for row in journal.rows("SELECT key FROM published"))
        rows = journal.rows("SELECT key, why, until FROM held")
        self._held = {
            str(key): Held(why=str(why), until=datetime.fromisoformat(str(until))) for key, why, until in rows
        }
        silent = journal.rows("SELECT since, reason FROM silence")
        self._silence = (
            Silence(since=datetime.fromisoformat(str(silent[0][0])), reason=str(silent[0][1])) if silent else None
        )

    def done(self) -> frozenset[str]:
        """The keys of what stands on the forge."""
        return self._done

    def all_held(self) -> dict[str, Held]:
        """What the forge refused, by key."""
        return self._held

    def silence(self) -> Silence | None:
        """Since when the forge does not answer, if it does not."""
        return self._silence

    def did(self, key: str) -> None:
        """Remember that this stands; the newest 20,000 count."""
        with self._journal.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO published (key) VALUES (?)", (key,))
            connection.execute(
                "DELETE FROM published WHERE number <= (SELECT max(number) FROM published) - ?", (MAX_DONE,)
            )
            connection.execute("DELETE FROM held WHERE key = ?", (key,))
        self._done |= {key}
        self._held = {other: held for other, held in self._held.items() if other != key}

    def held(self, key: str, held: Held) -> None:
        """Remember a refusal."""
        until = held.until.astimezone(UTC).isoformat()
        with self._journal.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", (key, held.why, until))
        self._held = {**self._held, key: held}

    def answered(self) -> None:
        """The forge answers."""
        with self._journal.writing() as connection:
            connection.execute("DELETE FROM silence")
        self._silence = None

    def fell_silent(self, since: datetime, reason: str) -> None:
        """The forge does not answer."""
        with self._journal.writing() as connection:
            connection.execute("DELETE FROM silence")
            connection.execute("INSERT INTO silence VALUES (?, ?)", (since.astimezone(UTC).isoformat(), reason))
        self._silence = Silence(since=since, reason=reason)
