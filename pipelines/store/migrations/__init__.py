"""How a database of any earlier version becomes a current one; applied at start-up by `database.migrate`.

`versions/` holds one module for each step, numbered, never changed once released: a new step copies the shape of the
last, names it in `down_revision`, and changes `schema` along with it. A test compares the two.
"""
