"""What is kept of a person, where, and the port of a factor.

Must not know HTTP.
"""
