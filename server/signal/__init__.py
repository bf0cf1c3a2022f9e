"""Signal: carries sealed messages between helpers that it cannot read."""
