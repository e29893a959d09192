"""Renders of heads with exact labels."""
