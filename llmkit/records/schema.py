"""The ledger's tables, as ordered migrations.

``PRAGMA user_version`` is the number of migrations that a file has had. A migration, once released, is never
changed; what is new comes as a further one. Unknown values are NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import LedgerError

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x6C6C6D6B
"""``llmk``: tells a ledger from other programs' SQLite files."""

_USAGE = """
    input_tokens INTEGER, output_tokens INTEGER, total_tokens INTEGER, no_cache_tokens INTEGER,
    cache_read_tokens INTEGER, text_tokens INTEGER, reasoning_tokens INTEGER, requests INTEGER"""

_STATS = """
    prompt_tokens INTEGER, cache_tokens INTEGER, generated_tokens INTEGER,
    time_to_first_token REAL, queue_time REAL, load_time REAL, prefill_time REAL, decode_time REAL,
    tool_time REAL, approval_time REAL, total_time REAL, tokens_per_second REAL, prompt_tokens_per_second REAL,
    peak_memory INTEGER, concurrency INTEGER, device TEXT, seed INTEGER"""

# Numbers and short words come first and the long texts last, since SQLite reads a row from its start.
_RUNS_STEPS_TOKENS = (
    f"""
    CREATE TABLE runs (
        key INTEGER PRIMARY KEY,
        image BLOB,
        run_id TEXT NOT NULL, session_id TEXT NOT NULL, created REAL NOT NULL, ended REAL,
        model TEXT, engine TEXT, status TEXT NOT NULL,
        host TEXT, pid INTEGER, process_started REAL,
        finish_reason TEXT, raw_finish_reason TEXT, error_code TEXT, error_message TEXT, abort_reason TEXT,
        step_count INTEGER, {_USAGE}, {_STATS},
        temperature REAL, top_p REAL, max_output_tokens INTEGER, stream INTEGER,
        prompt TEXT, text TEXT, reasoning TEXT, metadata TEXT, settings TEXT, messages TEXT
    )
    """,
    "CREATE INDEX runs_by_id ON runs (run_id)",
    "CREATE INDEX runs_by_session ON runs (session_id)",
    "CREATE INDEX runs_by_time ON runs (created)",
    "CREATE INDEX runs_running ON runs (host) WHERE status = 'running'",
    "CREATE INDEX runs_without_image ON runs (key) WHERE image IS NULL",
    # Whoever changes a row, the image that frames are read from can't go stale.
    """
    CREATE TRIGGER runs_changed AFTER UPDATE ON runs WHEN NEW.image IS OLD.image AND NEW.image IS NOT NULL
    BEGIN UPDATE runs SET image = NULL WHERE key = NEW.key; END
    """,
    "CREATE TABLE labels (code INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE)",
    f"""
    CREATE TABLE steps (
        run INTEGER NOT NULL REFERENCES runs (key), step INTEGER NOT NULL,
        created REAL, response_id TEXT, model TEXT, finish_reason TEXT, raw_finish_reason TEXT, {_USAGE}, {_STATS},
        text TEXT, reasoning TEXT, warnings TEXT, raw_text TEXT,
        UNIQUE (run, step)
    )
    """,
    """
    CREATE TABLE tokens (
        run INTEGER NOT NULL REFERENCES runs (key), step INTEGER NOT NULL, position INTEGER NOT NULL,
        token_id INTEGER, text TEXT, logprob REAL, alternatives TEXT,
        PRIMARY KEY (run, step, position)
    ) WITHOUT ROWID
    """,
)

# Rows are numbered in the order in which they came: a call's id needn't be there, or be the only one of its kind.
_CALLS_APPROVALS = (
    """
    CREATE TABLE tool_calls (
        run INTEGER NOT NULL REFERENCES runs (key), number INTEGER NOT NULL,
        step INTEGER, created REAL, started REAL, ended REAL, duration REAL, approval_time REAL, executions INTEGER,
        call_id TEXT, tool TEXT, outcome TEXT, decided_by TEXT, error_code TEXT, error_message TEXT, error TEXT,
        arguments TEXT, executed_arguments TEXT, output TEXT, printed TEXT, raw TEXT,
        UNIQUE (run, number)
    )
    """,
    "CREATE INDEX tool_calls_pending ON tool_calls (run) WHERE outcome = 'pending'",
    """
    CREATE TABLE approvals (
        run INTEGER NOT NULL REFERENCES runs (key), number INTEGER NOT NULL,
        step INTEGER, requested REAL, decided REAL, waited REAL, accepted INTEGER, edited INTEGER,
        call_id TEXT, tool TEXT, verdict TEXT, decided_by TEXT, request_reason TEXT, reason TEXT, refusal TEXT,
        shown_arguments TEXT, executed_arguments TEXT,
        UNIQUE (run, number)
    )
    """,
)

# What was asked beyond messages and settings; columns that are added stand last, behind the texts.
_ASKED_VOTES = (
    "ALTER TABLE runs ADD COLUMN build TEXT",
    "ALTER TABLE runs ADD COLUMN revision TEXT",
    "ALTER TABLE runs ADD COLUMN fingerprint TEXT",
    "ALTER TABLE runs ADD COLUMN extras TEXT",
    "CREATE INDEX runs_by_fingerprint ON runs (fingerprint) WHERE fingerprint IS NOT NULL",
    """
    CREATE TABLE votes (
        key INTEGER PRIMARY KEY,
        comparison_id TEXT NOT NULL, session_id TEXT, created REAL NOT NULL, judge TEXT NOT NULL,
        a_cell INTEGER, b_cell INTEGER, first TEXT, verdict TEXT NOT NULL,
        a_label TEXT, b_label TEXT, question TEXT, reason TEXT
    )
    """,
    "CREATE INDEX votes_by_comparison ON votes (comparison_id)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_RUNS_STEPS_TOKENS, _CALLS_APPROVALS, _ASKED_VOTES)
VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many migrations the ledger has had."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def check_version(connection: sqlite3.Connection, name: str) -> None:
    """Refuse a file that this llmkit can't write rightly.

    Raises
    ------
    LedgerError
        The file is of a newer llmkit, or another program's database.
    """
    version = version_of(connection)
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise LedgerError(f"{name} is another program's database, not a ledger. Pass another path as ledger=.")
    if version > VERSION:
        raise LedgerError(
            f"The ledger {name} has version {version}; this llmkit knows versions up to {VERSION}. "
            "Upgrade llmkit (pip install -U llmkit), or pass another path as ledger=."
        )


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring a ledger, or an empty file, to this version; other processes may do the same at once.

    Parameters
    ----------
    connection : sqlite3.Connection
        In autocommit mode.
    name : str
        The ledger's name in errors.

    Raises
    ------
    LedgerError
        The file is of a newer llmkit, or another program's database.
    """
    check_version(connection, name)
    if version_of(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        check_version(connection, name)
        pending = MIGRATIONS[version_of(connection) :]
        for migration in pending:
            for statement in migration:
                connection.execute(statement)
        if pending:
            connection.execute("UPDATE runs SET image = NULL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
