"""Who is using the lab, and what they may do; alone on this machine, everything."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from data.catalog_people import Invited
from data.errors import LabError
from data.people import Person, Role, local_person
from data.settings import settings
from data.store import Store

PUBLIC_COOKIE = "detour_public"
"""Holds the key of the public link by which somebody came who did not sign in."""
FRESH_S = 5
"""Seconds after which a change of somebody's role is noticed."""
REMEMBERED = 1000
"""People whose role is not asked for again within these seconds."""


@dataclass(frozen=True)
class Access:
    """One person's standing; views ask it what to offer, and the houses below hold them to it.

    Attributes:
        person: who it is.
        view: the only one they may open, of a guest with a public link; None: every one.
    """

    person: Person
    view: str | None = None

    @property
    def name(self) -> str:
        """The address by which they sign in, or the account's name."""
        return self.person.name

    @property
    def role(self) -> Role:
        """Their role."""
        return self.person.role

    @property
    def may_change(self) -> bool:
        """Whether this person may train, stop, tag, archive and delete."""
        return self.person.may("researcher")


def alone() -> Access:
    """Return the access of a person who runs the lab on their own machine, without a sign-in."""
    return Access(local_person())


def sign_in_required() -> bool:
    """Whether people must sign in here."""
    return bool(settings().sign_in.metadata_url)


def visitor(store: Store) -> Access:
    """Return who is looking at the page that is being drawn.

    Raises:
        LabError: nobody the lab knows: not signed in, not invited, or shut out.
    """
    if not sign_in_required():
        return alone()
    if st.user.is_logged_in:
        return Access(signed_in(store, st.user.to_dict()))
    if key := st.context.cookies.get(PUBLIC_COOKIE):
        return guest(store, key)
    raise LabError("You are not signed in", "This lab asks people to sign in.", "Reload the page.")


def signed_in(store: Store, claims: Mapping[str, Any]) -> Person:
    """Return the person that a provider's claims tell of.

    Raises:
        LabError: the address is missing or not verified, or the lab does not let them in.
    """
    address = str(claims.get("email") or "")
    if not address:
        raise LabError(
            "The provider gave no address",
            "Who signs in is known by an e-mail address, and there is none.",
            "Let the provider give the claim `email`.",
        )
    verified = claims.get("email_verified")
    if not (verified is True or (verified is None and settings().sign_in.unverified)):
        raise LabError(
            "The address is not verified",
            f"The provider does not vouch for {address}.",
            "Verify it there; or set `sign_in.unverified` where the provider verifies without saying so.",
        )
    shown_as = str(claims.get("name") or address)
    return _arrived(store, address, shown_as)


def guest(store: Store, key: str) -> Access:
    """Return the access of somebody who holds a public link.

    Raises:
        LabError: there is no such link any more.
    """
    view = store.machine.catalog.public_view(key)
    return Access(Person("a guest", "viewer", study=view.study), view.view)


def _arrived(store: Store, address: str, shown_as: str) -> Person:
    """Return somebody as the catalogue knows them, asked again every few seconds."""
    key, now = (str(store.root), address), time.monotonic()
    person, moment = _seen.get(key, (None, 0.0))
    if person is None or now - moment > FRESH_S:
        asked = settings().sign_in
        invited = Invited(asked.domains, asked.people, asked.admins, asked.role)
        try:
            person = store.machine.catalog.arrive(address, shown_as, invited)
        except LabError:
            _seen.pop(key, None)
            raise
        if len(_seen) >= REMEMBERED:
            _seen.clear()
        _seen[key] = person, now
    return person


_seen: dict[tuple[str, str], tuple[Person, float]] = {}
