"""Signing in: the embedded OpenID provider, its pages, and what verifies tokens."""
