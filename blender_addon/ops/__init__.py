"""Operators: they check the context, call core and host, and report."""
