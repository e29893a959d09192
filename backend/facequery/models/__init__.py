"""Networks only: tensor in, tensor out."""
