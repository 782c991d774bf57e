"""Listeners, workers, graceful stop.

Must not know users and the grammar of HTTP.
"""
