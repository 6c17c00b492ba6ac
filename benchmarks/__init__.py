"""Speed and memory against the limit and against what a user would pick instead; run by hand."""
