"""The projection head: learned by contrast or in closed form, and kept as safetensors."""
