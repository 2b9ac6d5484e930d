"""The slash commands and buttons, one noun per module; each has `add(bot)`."""
