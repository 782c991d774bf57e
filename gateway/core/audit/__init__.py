"""The trail: which events there are, how entries chain, how many there may be.

Must not know logins.
"""
