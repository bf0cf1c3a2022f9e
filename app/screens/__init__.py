"""Covey's windows: widgets that take values and say what a person wants. They ask nobody and wait for nothing.

`MainWindow.show_state(AppState, now)` draws everything that is known at a moment; what a person clicks comes out as signals.
Text from elsewhere is always plain text on one line (`app.tray.names.one_line`), never markup.
"""
