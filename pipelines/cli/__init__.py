"""The terminal: `pipecall COMMAND`. One module per command or family of them; each is imported when asked for.

`commands` is the table of them, `program` runs one and makes exit codes of errors, `frame` opens what they work on,
`printing` is how they speak. Nothing of the engine imports anything from here.
"""
