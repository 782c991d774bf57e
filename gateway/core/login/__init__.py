"""Pending login, session, verification, enrolment.

Must not know aiohttp, nor what kind of index server stands behind.
"""
