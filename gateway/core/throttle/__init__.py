"""How often somebody may try, and the counting of tries.

Must not know pages and rules.
"""
