"""The other side of the gateway: logging a command line in, and keeping what it gets.

Runs on people's own machines. Knows the standard library and `keyring`, nothing of the gateway.
"""
