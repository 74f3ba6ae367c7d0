"""From files made elsewhere to a study: gathered, staged as they stand, planned, then committed at once."""
