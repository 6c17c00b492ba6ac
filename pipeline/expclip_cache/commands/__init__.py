"""`expclip-cache`: one module per command, each a thin layer over one library call."""
