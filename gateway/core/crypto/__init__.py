"""Key ring, signing and sealing.

Must not know what is sealed.
"""
