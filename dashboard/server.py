"""What the web server runs: the app, and beside it the routes that programs call."""

from pathlib import Path

import streamlit as st

from dashboard.api import ROUTES

app = st.App(Path(__file__).with_name("app.py"), routes=ROUTES)
