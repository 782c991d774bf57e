"""What people are told: events, the queue and the words.

Must not know logins.
"""
