"""The tables of the journal, as one migration after the other made them: new ones are added at the end.

No statement here ever changes what an older one says.
"""

APPLICATION = 0x7265636F
"""What sqlite keeps in the file to say whose it is: `reco`."""
MIGRATIONS = (
    (
        # the newest valid blob of each file that people wrote
        "CREATE TABLE good (path TEXT PRIMARY KEY, blob TEXT NOT NULL) WITHOUT ROWID",
        # when something last moved in a task
        "CREATE TABLE activity (task TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
        # what a run was started with, as its run folder says
        "CREATE TABLE meta (run TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
        # how long a pull agent holds a task without a heartbeat
        "CREATE TABLE leases (task TEXT PRIMARY KEY, epoch INTEGER NOT NULL, until TEXT NOT NULL) WITHOUT ROWID",
        # webhooks that came already, by the forge's id and by what they say
        "CREATE TABLE deliveries (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, digest TEXT UNIQUE NOT NULL)",
        # when a task was seen for the first time: of equal priority the older goes first
        "CREATE TABLE first_seen (task TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # webhooks, by what they say; the body until it was acted on
        "DROP TABLE deliveries",
        """
        CREATE TABLE deliveries (
          number INTEGER PRIMARY KEY, digest TEXT UNIQUE NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL,
          event TEXT NOT NULL, event_type TEXT NOT NULL, body BLOB, received_at TEXT NOT NULL)
        """,
        "CREATE INDEX undone ON deliveries (number) WHERE body IS NOT NULL",
        # what stands on the forge, what it refused, and since when it does not answer
        "CREATE TABLE published (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL)",
        "CREATE TABLE held (key TEXT PRIMARY KEY, why TEXT NOT NULL, until TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE silence (since TEXT NOT NULL, reason TEXT NOT NULL)",
        # that the disk takes what is written
        "CREATE TABLE proof (number INTEGER PRIMARY KEY)",
    ),
    (
        # how the fleet stands with its remote
        "CREATE TABLE standing (number INTEGER PRIMARY KEY, json TEXT NOT NULL)",
    ),
    (
        # which commits were judged by `settings.trust`, and what came of it
        "CREATE TABLE judged (ref TEXT PRIMARY KEY, basis TEXT NOT NULL, json TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # when each chore of upkeep was last done
        "CREATE TABLE upkeep (chore TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # what is known of each channel by which people are notified, and the causes that were told there
        "CREATE TABLE channels (channel TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE told (channel TEXT, key TEXT, told INTEGER NOT NULL, PRIMARY KEY (channel, key)) WITHOUT ROWID",
    ),
)
