"""Zero-shot scores from cached features: nearest prompts, confusion, UAR and WAR."""
