"""What all tests share."""

import signal

# Some tests stop a program of ours with Ctrl-C. Where these tests were started in the background, the shell has it
# ignored, and programs inherit that; a handler is not inherited, so they start as they would in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
