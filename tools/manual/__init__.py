"""The manual: pages that are generated from the code, and the pictures that scripts make."""
