"""Any exchange that ccxt knows, by its id: spot balances, derivatives positions, orders and prices of one account."""
