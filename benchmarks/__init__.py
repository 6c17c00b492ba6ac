"""Speed and memory, compared with the limit and with what a user would otherwise choose; run by hand."""
