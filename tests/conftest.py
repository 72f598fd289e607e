"""What holds for the whole suite."""

import os
import signal

from hypothesis import settings

# Time says nothing on a busy machine. The suite looks at the same examples each time, so that a change fails
# for what it changed; `MLXK_SOAK_EXAMPLES` looks at as many new ones.
soak = os.environ.get("MLXK_SOAK_EXAMPLES")
settings.register_profile(
    "mlxk", deadline=None, max_examples=int(soak or 60), derandomize=not soak, database=None
)
settings.load_profile("mlxk")

# A shell that starts the suite in the background has it ignore Ctrl-C, which its children would inherit: the
# tests that send Ctrl-C to a process of theirs would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
