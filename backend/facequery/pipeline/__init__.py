"""Jobs: the only code that knows the order of the steps."""
