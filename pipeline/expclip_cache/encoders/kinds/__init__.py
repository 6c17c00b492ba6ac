"""The backbones: one module for each kind of image-text model, and the registry that names them."""
