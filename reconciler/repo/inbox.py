"""The inbox: webhooks that were taken and are to be acted on, kept in the journal until that is done.

It reads no payload; a delivery that came before, under whatever id, is not kept again.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.repo.journal import Journal

MAX_DIGESTS = 20_000
"""Deliveries that are remembered after they were acted on: a forge replays for a week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook as it came, its signature good. `event` and `event_type` are the forge's names for what happened.

    `kind` is the kind of forge whose words it uses. `number` is its place in the inbox, 0 before it is kept. `id` is
    the forge's own, which nobody signed; nor did anybody sign the kind and the names.
    """

    kind: str
    event: str
    event_type: str
    id: str
    body: bytes
    received_at: datetime
    number: int = 0


class Inbox:
    """The webhooks of one fleet. Safe for many threads."""

    def __init__(self, journal: Journal) -> None:
        """Keep them in this journal."""
        self._journal = journal

    def keep(self, delivery: Delivery) -> bool:
        """Keep a delivery; false when the same came before. On disk when this returns."""
        digest = hashlib.sha256(f"{delivery.event}\0{delivery.event_type}\0".encode() + delivery.body).hexdigest()
        received_at = delivery.received_at.astimezone(UTC).isoformat()
        with self._journal.writing() as connection:
            added = connection.execute(
                "INSERT OR IGNORE INTO deliveries (digest, id, kind, event, event_type, body, received_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (digest, delivery.id, delivery.kind, delivery.event, delivery.event_type, delivery.body, received_at),
            ).rowcount
        return added == 1

    def waiting(self, most: int, *, after: int = 0) -> list[Delivery]:
        """The oldest deliveries that were not acted on, of those behind the number `after`."""
        rows = self._journal.rows(
            "SELECT number, id, kind, event, event_type, body, received_at FROM deliveries"
            " WHERE body IS NOT NULL AND number > ? ORDER BY number LIMIT ?",
            after,
            most,
        )
        return [
            Delivery(
                number=int(str(number)),
                id=str(name),
                kind=str(kind),
                event=str(event),
                event_type=str(event_type),
                body=body if isinstance(body, bytes) else b"",
                received_at=datetime.fromisoformat(str(received_at)),
            )
            for number, name, kind, event, event_type, body, received_at in rows
        ]

    def acted_on(self, *numbers: int) -> None:
        """Let go of the bodies of these; that they came is remembered."""
        with self._journal.writing() as connection:
            connection.executemany(
                "UPDATE deliveries SET body = NULL WHERE number = ?", [(number,) for number in numbers]
            )
            connection.execute(
                "DELETE FROM deliveries WHERE body IS NULL AND number <= (SELECT max(number) FROM deliveries) - ?",
                (MAX_DIGESTS,),
            )
