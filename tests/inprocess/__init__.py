"""Whole programs of ours, joined up on loopback."""
