"""Issuers of identity tokens: where they say which keys they sign with."""
