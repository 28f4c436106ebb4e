"""ccxt exchanges over loopback: real HTTP and WebSocket servers over the paper venue's truth."""
