"""Decisions without I/O: no sockets, no aiohttp, no clock; time and the store come in."""
