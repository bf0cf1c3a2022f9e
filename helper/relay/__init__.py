"""The TURN relay: a client for one allocation shared by all peers, and the way between it and WireGuard."""
