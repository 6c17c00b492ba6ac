"""Let torch's threads sleep while they wait for work."""

import os


def let_idle_threads_sleep() -> None:
    """Ask OpenMP not to spin. It has an effect only before torch is loaded.

    Torch's threads otherwise spin at the end of every parallel operation, on cores that the decoding processes need:
    with two cores the demo's extraction took twice as long. A value that the user has set is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
