"""Route rules: matching, shadowing, explaining.

Must not know credentials.
"""
