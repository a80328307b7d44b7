"""What the tables of runs look like, version by version.

Old databases are carried forward: a statement that was released is never edited, only followed by others.
"""

from core.run import STATES

APPLICATION = 0x54484157  # "THAW"
_STATE_LIST = ", ".join(f"'{state}'" for state in STATES)
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"""CREATE TABLE run (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            recipe TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ({_STATE_LIST})),
            boot TEXT NOT NULL,
            place INTEGER NOT NULL,
            created TEXT NOT NULL,
            started TEXT,
            ended TEXT,
            deleted TEXT,
            seconds REAL NOT NULL DEFAULT 0,
            epoch INTEGER NOT NULL DEFAULT 0,
            step INTEGER NOT NULL DEFAULT 0,
            best_epoch INTEGER,
            best_val_accuracy REAL,
            test_accuracy REAL,
            error_code TEXT,
            error_values TEXT
        ) STRICT""",
        """CREATE TABLE event (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            payload BLOB NOT NULL,
            at TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX event_of_run ON event(run, seq)",
        """CREATE TABLE command (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            payload TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT""",
    ),
    (
        "ALTER TABLE run ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE run ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",  # which one of all runs to begin it was
    ),
    ("ALTER TABLE run ADD COLUMN fixed INTEGER",),  # its place where somebody put the queue in order; NULL: by turns
)
