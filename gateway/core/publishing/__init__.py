"""Trusted publishing: tokens for programs that prove where they run, and keep no secret.

Must not know HTTP, nor where the keys of an issuer come from.
"""
