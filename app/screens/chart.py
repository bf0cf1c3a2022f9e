"""A small live chart of latency and loss, drawn by hand: a plotting library would double the program's memory."""

from collections import deque
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.screens.words import latency_text

SPAN = 120.0  # seconds that the chart shows
STEP = 0.99  # seconds between two samples at least: thousands of peers are remembered
LOSS_COLOUR = QColor(200, 70, 60, 110)
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # milliseconds at the top


@dataclass(frozen=True, slots=True)
class Sample:
    """Attributes:
    at: seconds on any clock that only goes forward.
    latency: milliseconds; None while there is no path.
    loss: percent.
    """

    at: float
    latency: float | None
    loss: float


class History:
    """The last SPAN seconds of one peer. Pure."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Keep a sample; of several within STEP the first."""
        if self.samples and sample.at < self.samples[-1].at + STEP:
            return
        self.samples.append(sample)
        while self.samples[0].at < sample.at - SPAN:
            self.samples.popleft()

    @property
    def top(self) -> float:
        """The round number of milliseconds that the tallest sample fits under."""
        most = max((one.latency for one in self.samples if one.latency is not None), default=0.0)
        return float(next((step for step in STEPS if step >= most * 1.05), 10_000))

    def runs(self) -> list[list[Sample]]:
        """The samples with a path, apart where there was none."""
        found: list[list[Sample]] = [[]]
        for sample in self.samples:
            if sample.latency is not None:
                found[-1].append(sample)
            elif found[-1]:
                found.append([])
        return [run for run in found if run]

    def summary(self) -> str:
        """For those who can't see the chart."""
        known = [one.latency for one in self.samples if one.latency is not None]
        if not known:
            return "No latency measured in the last two minutes."
        worst = max(one.loss for one in self.samples)
        best, slowest = latency_text(min(known)), latency_text(max(known))
        return f"Latency {best} to {slowest} in the last two minutes, loss up to {worst:.0f} %."


class Chart(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._history: History | None = None
        self.setMinimumHeight(72)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Latency and loss of the last two minutes")

    def sizeHint(self) -> QSize:
        return QSize(260, 84)

    def show_history(self, history: History | None) -> None:
        self._history = history
        self.setAccessibleDescription(history.summary() if history else "")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        dim = palette.color(QPalette.ColorRole.PlaceholderText)
        metrics = painter.fontMetrics()
        area = QRectF(self.rect()).adjusted(1, metrics.height() + 2, -1, -2)
        painter.setPen(QPen(dim, 0.5))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.drawLine(area.topLeft(), area.topRight())
        history = self._history
        if history is None or not history.samples:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "No measurements yet")
            return
        painter.drawText(QPointF(2, metrics.ascent()), latency_text(history.top))
        worst = max(sample.loss for sample in history.samples)
        if worst:
            text = f"loss up to {worst:.0f} %"
            painter.drawText(QPointF(self.width() - metrics.horizontalAdvance(text) - 2, metrics.ascent()), text)
        end = history.samples[-1].at

        def x(sample: Sample) -> float:
            return area.right() - (end - sample.at) / SPAN * area.width()

        for sample in history.samples:
            if sample.loss:
                height = min(1.0, sample.loss / 100) * area.height()
                painter.fillRect(QRectF(x(sample) - 1.5, area.bottom() - height, 3, height), LOSS_COLOUR)
        painter.setPen(QPen(palette.color(QPalette.ColorRole.Highlight), 1.5))
        for run in history.runs():
            points = [QPointF(x(sample), area.bottom() - (sample.latency or 0) / history.top * area.height()) for sample in run]
            if len(points) == 1:
                painter.drawPoint(points[0])
            else:
                painter.drawPolyline(QPolygonF(points))
