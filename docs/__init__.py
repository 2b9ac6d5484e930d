"""The documentation, and the scripts that write the generated part of it."""
