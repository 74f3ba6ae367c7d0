"""Addresses that lead back into the lab: of pages, short ones of saved views, public ones."""

from urllib.parse import urlencode, urlsplit

import streamlit as st

from dashboard.figure_files import Place
from dashboard.links import path
from data.settings import settings


def lab_address() -> str:
    """Return how browsers reach the lab, without a slash at the end."""
    server = settings().server
    if server.public_url:
        return server.public_url.rstrip("/")
    page, base = urlsplit(st.context.url or "http://localhost:8501"), server.base_path.strip("/")
    return f"{page.scheme}://{page.netloc}{'/' + base if base else ''}"


def short(code: str) -> str:
    """Return the short link of a saved view."""
    return f"{lab_address()}/v/{code}"


def public(key: str) -> str:
    """Return the link by which anybody sees a saved view."""
    return f"{lab_address()}/public/{key}"


def address(place: Place) -> str:
    """Return the address of a view with its parameters."""
    return f"{lab_address()}/{path(place.view)}?{urlencode(place.parameters, doseq=True)}"
