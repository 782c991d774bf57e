"""`index-gateway demo`: a real index behind a real gateway, on this machine, until Ctrl-C."""
