"""Progress that is remembered."""


class Recorder:
    """What was reported, and how far each file came at most and at last."""

    def __init__(self) -> None:
        self.total = 0
        self.finished = 0
        self.last: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def start(self, phase: str, total: int) -> None:
        assert phase == "download"
        self.total = total

    def advance(self, file: str, count: int) -> None:
        self.last[file] = self.last.get(file, 0) + count
        self.most[file] = max(self.most.get(file, 0), self.last[file])

    def finish(self) -> None:
        self.finished += 1
