"""What the web server runs: the app, and beside it the routes that programs use."""

from pathlib import Path

import streamlit as st

app = st.App(Path(__file__).with_name("app.py"))
