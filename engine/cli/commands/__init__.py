"""The commands; each file defines `COMMAND` and is called what one types."""
