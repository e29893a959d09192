"""Run the networks over pictures and shots."""
