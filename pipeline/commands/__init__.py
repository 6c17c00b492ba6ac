"""Commands of `expclip-cache` that come in families; `pipeline.cli` puts them together."""
