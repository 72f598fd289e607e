"""What holds for the whole suite."""

import signal

# A shell that starts the suite in the background has it ignore Ctrl-C, which its children would inherit: the
# tests that send Ctrl-C to a process of theirs would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
