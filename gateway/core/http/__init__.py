"""HTTP as far as the gateway reads it: facts of a request, canonical path, headers, cookies,
forms, origin; one definition each.

Must not know users.
"""
