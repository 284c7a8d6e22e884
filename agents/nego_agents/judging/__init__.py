"""Judges that are language models, over any backend. Import from its modules."""
