"""Runs on many machines: workers that take runs from procrastinate's queue, on the PostgreSQL that holds the store.

`requirements` says whether that can be, `fetching` takes tickets, `service` is the life of a worker. Tickets themselves
are the store's (`store.tickets`); who may execute a run, its claim decides.
"""
