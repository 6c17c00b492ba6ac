"""The embedded demonstration: rendered faces and the weights of two tiny encoders."""
