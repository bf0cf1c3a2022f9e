"""ICE (RFC 8445) as a VPN needs it: an own agent that starts early, re-nominates and keeps every working pair warm."""
