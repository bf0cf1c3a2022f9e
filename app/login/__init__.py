"""Signing a person in at the OpenID provider of their server, and keeping what renews it.

`sign_in.SignIn` walks through one sign-in; `person.token_for` is what commands and the tray call: silently with what is kept,
or with the person. `renewal` keeps a session from ending. Nothing here is told to the helper but the token.
"""
