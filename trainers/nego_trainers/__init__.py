"""Learners that train on negotiation transcripts. Empty for now: the environment comes first."""
