"""HTTP/1.1 heads and bodies, judged and read by one strict grammar.

Must not know connections.
"""
