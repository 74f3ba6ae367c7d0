"""What a person may keep in the lab, asked before a job of theirs begins."""

from data.catalog_jobs import WHO_RAISES
from data.errors import LabError
from data.storage import by, usage
from data.store import Store

GIB = 1 << 30


def stored(store: Store, person: str) -> int:
    """Return the bytes of somebody's traces, checkpoints, results and logs."""
    return by(usage(store.machine), lambda one: one.person).get(person, 0)


def require_storage(store: Store) -> None:
    """Refuse a job of somebody who keeps as much as they may.

    Raises:
        LabError: whoever acts on the store does.
    """
    person = store.catalog.person
    most = 0.0 if person.local else store.catalog.limits_for(person.name).storage_gb
    if most and (kept := stored(store, person.name)) >= most * GIB:
        raise LabError(
            "No storage left",
            f"{person.name} keeps {kept / GIB:,.1f} GiB; one person may keep {most:g} GiB.",
            f"Delete runs or studies that are no longer needed. {WHO_RAISES}",
        )
