"""Pipecall's Discord face: what a chain posts, and the bot that runs pipelines. Nothing is imported here."""
