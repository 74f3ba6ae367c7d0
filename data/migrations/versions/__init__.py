"""One revision of the catalogue a file."""
