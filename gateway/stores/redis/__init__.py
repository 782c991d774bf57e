"""The store in a Redis, a Sentinel group or a Cluster."""
