"""The database: the only place of this program that knows SQLAlchemy. No row object leaves it, only frozen values.

`schema` holds the tables, `columns` their types, `migrations` how they came about, `database` opens, upgrades and locks
one, `writer` is the one thread that writes and the few that read. What is written and read is grouped by noun: `runs`,
`occurrences`, `ends`, `counts`, `schedules`, `state`, `outbox`, `deliveries`, `logs`, `history`. Each function takes a
connection first; those that write take a sequence of arguments and return a list of results in the same order, so that
what many callers ask for at the same time becomes one statement.
"""
