"""Alpaca over loopback: a real HTTP and WebSocket server with a truth of its own, and an audit of what it was sent."""
