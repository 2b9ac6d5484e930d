"""Speed and memory, measured side by side with peers in one run. Never part of the tests."""
