"""Pipecall's web face: the REST interface, the dashboard and the metrics. Nothing is imported here."""
