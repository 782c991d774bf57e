"""Carries out policies on requests and answers.

Must not know pages, sockets and settings.
"""
