"""Our own pages, one file for each task of a person."""
