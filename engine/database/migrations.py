"""Versions of the state database's schema (`PRAGMA user_version`), and how one becomes the next."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

import errdefs


class Migration(msgspec.Struct, frozen=True):
    """The statements that bring a database from `version - 1` to `version`; versions count from 1."""

    version: int
    sql: str


def ordered(migrations: Iterable[Migration]) -> list[Migration]:
    """The migrations of all stores, by version. They are a program's own: a gap in them is a ValueError."""
    found = sorted(migrations, key=lambda migration: migration.version)
    versions = [migration.version for migration in found]
    if versions != list(range(1, len(versions) + 1)):
        raise ValueError(f"migrations must count from 1 without a gap: {versions}")
    return found


def require_readable(path: Path, known: int) -> None:
    """Pass if the database at `path` is absent or no newer than `known`; it is opened read-only.

    SystemFailure for a newer schema, and for a file that is no database: neither is touched.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)
    try:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise errdefs.SystemFailure(f"cannot read the state database {path}: {error}") from error
    finally:
        connection.close()
    if found > known:
        raise errdefs.SystemFailure(
            f"the state database {path} has schema {found}, written by a newer wherryd; this one knows up to"
            f" {known}. Nothing was changed: start the newer version, or use another --data-root"
        )


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Apply what is missing of the ordered migrations, each version in a transaction of its own."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    for migration in migrations[found:]:
        script = f"BEGIN IMMEDIATE;\n{migration.sql};\nPRAGMA user_version = {migration.version};\nCOMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise errdefs.SystemFailure(
                f"cannot bring the state database to schema {migration.version}: {error}"
            ) from error


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
