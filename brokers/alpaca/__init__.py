"""Alpaca: equities, options and crypto of one account, over its REST calls and its three kinds of stream."""
