"""Side by side with nginx; see README.md."""
