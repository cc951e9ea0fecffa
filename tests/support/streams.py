"""An emulated accelerator with two lanes over one memory, as a GPU has streams."""

from chrion_runtime.devices.emulated import Emulated


class Streams(Emulated):
    """Two lanes, each a thread; values pass between them where they are."""

    def __init__(self) -> None:
        super().__init__("emulated:0", 0)
        self.lanes = ("emulated:0/0", "emulated:0/1")
