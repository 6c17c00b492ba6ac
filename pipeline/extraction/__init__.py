"""Manifest -> encoder -> shards: the one place that sees all three."""
