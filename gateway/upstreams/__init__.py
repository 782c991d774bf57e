"""See gateway/core for the words used here."""
