"""What crosses a process border: messages, keys, sealed envelopes, addresses, join links, errors."""
