"""Figures: a tidy frame in, an Altair chart out; nothing here asks Streamlit or the store for anything."""
