"""Ways to deliver notices, and the courier that works off the queue."""
