"""The command line: one file of `engine.cli.commands` for each command."""
