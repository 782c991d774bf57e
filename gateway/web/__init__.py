"""The gateway's own pages under /+auth/. `Pages` in pages.py is the way in."""
