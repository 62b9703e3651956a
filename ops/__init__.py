"""Tools for operators: audit, settle, redrive, history, export (`python -m ops`, docs/operations-tools.md)."""
