"""Keeps a page as it stands under a short link, for those in the lab, or for anybody."""

from dataclasses import dataclass

import streamlit as st

from dashboard import share_links
from dashboard.access import sign_in_required
from dashboard.callbacks import act
from dashboard.controls import here
from dashboard.lab import Lab
from dashboard.wording import coded, escaped
from data.catalog_sharing import LONGEST_TITLE
from data.errors import LabError
from data.rows import SavedViewRow

_SAVED, _KEY, _TITLE = "share.saved", "share.key", "share.title"


@dataclass(frozen=True)
class _Just:
    """What was saved last in this session, and on which view."""

    view: str
    code: str


def share(lab: Lab) -> None:
    """Offer to save what is on the page; to who saved it also a public link, and to take both back."""
    with st.popover("Share", icon=":material/share:", key="share", type="tertiary"):
        _what_is_saved(lab)
        if not lab.access.may_change:
            st.caption("Saving a view needs the role researcher. The address of this page is a link, too.")
            return
        with st.form("share.form", border=False):
            st.text_input(
                "Title", key=_TITLE, max_chars=LONGEST_TITLE, placeholder="What this page shows", width=320
            )
            st.form_submit_button(
                "Save this view", icon=":material/bookmark_add:", type="primary", on_click=act,
                args=(_save, lab),
            )  # fmt: skip
        st.caption("Keeps all choices on this page under a short link for everybody in the lab.")


def _what_is_saved(lab: Lab) -> None:
    just = st.session_state.get(_SAVED)
    if not isinstance(just, _Just) or just.view != here().view:
        return
    try:
        row = lab.store.catalog.saved_view(just.code)
    except LabError:  # deleted meanwhile
        del st.session_state[_SAVED]
        return
    st.markdown(f"**{escaped(row.title)}** is saved.")
    saved_actions(lab, row, "share")
    st.divider()


def saved_actions(lab: Lab, row: SavedViewRow, key: str) -> None:
    """Show the short link of a saved view, and what its owner or an administrator can do with it.

    Args:
        lab: in the hands of whoever looks.
        row: the saved view.
        key: begins the names of the buttons.
    """
    st.code(share_links.short(row.code), language=None, wrap_lines=True)
    person = lab.access.person
    mine = lab.access.may_change and (row.person == person.name or person.may("admin"))
    made = st.session_state.pop(_KEY, None) if mine else None
    if made is not None and made[0] == row.code:
        st.success("The public link is shown this once. Copy it now.", icon=":material/public:")
        st.code(share_links.public(made[1]), language=None, wrap_lines=True)
    elif made is not None:
        st.session_state[_KEY] = made
    why = _not_public(row)
    with st.container(horizontal=True, gap="small"):
        if row.public_at is None:
            st.button(
                "Make a public link", icon=":material/public:", key=f"{key}.public",
                disabled=not mine or bool(why), on_click=act, args=(_publish, lab, row.code),
                help=why or "Whoever has it sees this view of the study, its tables and exports, without "
                "signing in, and nothing else of the lab. It can be taken back at any time.",
            )  # fmt: skip
        else:
            st.button(
                "Take it back", icon=":material/public_off:", key=f"{key}.back", disabled=not mine,
                on_click=act, args=(lab.store.catalog.unpublish_view, row.code),
                help="The public link leads nowhere from then on.",
            )  # fmt: skip
        st.button(
            "Delete", icon=":material/delete:", key=f"{key}.delete", disabled=not mine,
            on_click=act, args=(lab.store.catalog.delete_view, row.code),
            help="The short link and the public one lead nowhere from then on. The study stays.",
        )  # fmt: skip
    if row.public_at is not None:
        st.caption(
            f"Public since {row.public_at:%d %b %Y}: whoever has the link sees this view of "
            f"{coded(row.study)} without signing in."
        )
    elif not mine:
        st.caption(f"It is {escaped(row.person)}’s; they, or an administrator, may change it.")
    elif why:
        st.caption(why)


def _not_public(row: SavedViewRow) -> str:
    """Return why a view can have no public link; "" where it can."""
    if not sign_in_required():
        return "Public links need a hosted lab, where people sign in: docs/running-a-lab.md."
    if not row.study:
        return "A public link shows one study; this view is of the whole lab."
    return ""


def _save(lab: Lab) -> None:
    place, title = here(), str(st.session_state.get(_TITLE) or "")
    row = lab.store.catalog.save_view(place.view, place.study, title, place.parameters)
    st.session_state[_SAVED] = _Just(place.view, row.code)
    st.session_state[_TITLE] = ""


def _publish(lab: Lab, code: str) -> None:
    st.session_state[_KEY] = (code, lab.store.catalog.publish_view(code))
