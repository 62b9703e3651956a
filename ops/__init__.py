"""What operators do by hand: recount, settle, replay, look up, export (`python -m ops`, docs/operations-tools.md)."""
