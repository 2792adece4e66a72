"""What all tests share.

A busy machine is no failure, so Hypothesis sets no deadline for an example. The console is made before a test
sets a width, because it keeps the one that it is made with. What is read or compiled of a text is remembered:
nearly every test asks for the content that ships with Lemnis, and all of it says the same each time. So are the
digests of its files, and the signatures of commands, which take longer to read than most commands to run. So are
the tables that the migrations make: running them takes ten times as long as writing down what comes of it. Temporary
folders are in memory where there is enough: nothing is to survive a power cut there, and each fsync takes
milliseconds on a disk.
"""

import gc
import os
import shutil
from functools import cache, lru_cache, wraps
from pathlib import Path

import sqlalchemy as sa
import typer
from hypothesis import settings

os.environ.pop("COLUMNS", None)

import lemnis.interfaces.cli.output  # noqa: F401 - see above
from lemnis.app import checks, rules_fields
from lemnis.content import library, yaml
from lemnis.contracts import ids
from lemnis.detect import rules
from lemnis.interfaces import cli
from lemnis.store import database

_MEMORY = Path("/dev/shm")  # noqa: S108 - folders in it are made as safely as elsewhere
if (
    os.access(_MEMORY, os.W_OK)
    and shutil.disk_usage(_MEMORY).free > 4 << 30
    and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC  # some tests put programs there
):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

gc.set_threshold(*cli._SELDOM)  # as each command does


def pytest_collection_finish():
    """What was collected stays to the end: no need to look for garbage in it again and again."""
    gc.freeze()


settings.register_profile("lemnis", deadline=None)
settings.load_profile("lemnis")

_SHIPPED = library.builtin_root()
_load, _read, _discover = yaml.load, library.Item.read, library.Library._discover
_sample_fields, _sampled = rules_fields.sample_fields, {}
_migrate = database._migrate


@cache
def _loaded(text, model, file):
    return _load(text, model, file=file)


@wraps(_load)
def _load_once(source, model, *, file="", read=None):  # what is remembered here needs no `read`
    if isinstance(source, Path):
        return _loaded(yaml.read_text(source), model, file or str(source))
    return _load(source, model, file=file)


@cache
def _shipped_files(item):
    return tuple(_read(item))


@wraps(_read)
def _read_once(item):
    return _read(item) if item.own or not item.folder.is_relative_to(_SHIPPED) else _shipped_files(item)


@cache
def _shipped_items():
    whole = library.Library((_SHIPPED,))
    found = tuple(_discover(whole, _SHIPPED, own=False))
    assert not whole._problems
    return found


@wraps(_discover)
def _discover_once(self, root, *, own):
    return _shipped_items() if root == _SHIPPED and not own else _discover(self, root, own=own)


@wraps(_sample_fields)
def _sample_fields_once(source, sources):
    if not source.folder.is_relative_to(_SHIPPED):
        return _sample_fields(source, sources)
    key = source.folder, source.digest
    if key not in _sampled:
        _sampled[key] = _sample_fields(source, sources)
    return _sampled[key]


@cache
def _tables():
    """Return the statements that make of an empty SQLite database what the migrations make of it."""
    engine = sa.create_engine("sqlite://")
    _migrate(engine)
    with engine.connect() as connection:
        made = list(connection.connection.driver_connection.iterdump())
    engine.dispose()
    return [one for one in made if one not in {"BEGIN TRANSACTION;", "COMMIT;"}]


def _empty(connection):
    return connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first() is None


@wraps(_migrate)
def _migrate_once(engine):
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            new = _empty(connection)
        if new:
            statements = _tables()
            with database.writing(engine) as connection:
                for statement in statements if _empty(connection) else ():  # others may open it too
                    connection.exec_driver_sql(statement)
    _migrate(engine)


yaml.load, library.Item.read, library.Library._discover = _load_once, _read_once, _discover_once
rules_fields.sample_fields, database._migrate = _sample_fields_once, _migrate_once
ids._hex = lru_cache(8_192)(ids._hex)
typer.main.get_params_from_function = cache(typer.main.get_params_from_function)
rules.compile_file = cache(rules.compile_file)
checks.looked_at = cache(checks.looked_at)
