"""What was judged by `settings.trust`, kept in the journal, so that a long history is not walked again at each start.

It can be lost: the history says it all again.
"""

import hashlib
import json
from dataclasses import dataclass

from reconciler.repo import schemas, storage
from reconciler.repo.desired.trust import Judged
from reconciler.repo.journal import Journal

FORMAT = 1
"""To be raised with every change of how commits are judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """The judgement of the history of one ref, for the fleet in the folder `prefix` of its repository."""

    journal: Journal
    ref: str
    prefix: str

    def read(self) -> Judged | None:
        """What was kept; None where there is nothing that today's rules would say, in today's form."""
        rows = self.journal.rows("SELECT json FROM judged WHERE ref = ? AND basis = ?", self.ref, self._basis())
        try:
            return storage.structure(Judged, json.loads(str(rows[0][0]))) if rows else None
        except ValueError:
            return None

    def keep(self, judged: Judged) -> None:
        """Remember a judgement in place of the one before."""
        text = json.dumps(storage.unstructure(judged))
        with self.journal.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO judged VALUES (?, ?, ?)", (self.ref, self._basis(), text))

    def _basis(self) -> str:
        said = json.dumps([FORMAT, self.prefix, schemas.schema("settings")])
        return hashlib.sha256(said.encode(errors="surrogateescape")).hexdigest()
