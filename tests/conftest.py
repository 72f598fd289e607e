"""What holds for the whole suite."""

import os
import signal

from hypothesis import settings

# Time says nothing on a busy machine; `MLXK_SOAK_EXAMPLES` looks longer.
settings.register_profile("mlxk", deadline=None, max_examples=int(os.environ.get("MLXK_SOAK_EXAMPLES", "60")))
settings.load_profile("mlxk")

# A shell that starts the suite in the background has it ignore Ctrl-C, which its children would inherit: the
# tests that send Ctrl-C to a process of theirs would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
