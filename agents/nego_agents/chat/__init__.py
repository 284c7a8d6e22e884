"""Language models behind a server that speaks /v1/chat/completions; needs the `chat` extra. Import from its modules."""
