"""index-gateway: a second factor for a Python package index you cannot change."""

NAME = "index-gateway"
__version__ = "0.1.0"
