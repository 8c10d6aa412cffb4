"""Brokers: carrying messages, where another store keeps the canvas (kombu's transports; any of our own stores)."""
