"""The web side: what a person's browser sees."""
