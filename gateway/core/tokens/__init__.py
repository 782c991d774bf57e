"""API tokens: what one may do, who it belongs to, and what it stands for at the index.

Must not know HTTP.
"""
