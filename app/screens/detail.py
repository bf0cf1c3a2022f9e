"""One peer: its path and why, its endpoints, how latency and loss went, handshake and transfer."""

from datetime import datetime

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.cli.words import sentence
from app.screens.chart import Chart, History
from app.screens.parts import CopyButton, ElidedText, Heading, Text
from app.screens.words import LONGEST_NAME, PeerRow, detail_fields, latency_text, loss_text
from app.tray.names import one_line
from protocol.local_api import PeerStatus


class PeerDetail(QScrollArea):
    """Shows one peer; `show_peer(None, ...)` asks to choose one."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("The chosen machine")
        self._name = Heading(level=2, name="Name of the machine")
        self._address = ElidedText(name="Address of the machine", dim=True)
        self._name.setWordWrap(True)
        self._copy = CopyButton("the machine's address")
        self._state, self._why = Text(name="State"), Text(name="Why", dim=True)
        self._next = Text(name="What to do")
        self._chart = Chart()
        self._fields: dict[str, Text] = {}
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        body = QWidget()
        layout = QVBoxLayout(body)
        address = QHBoxLayout()
        address.addWidget(self._address)
        address.addWidget(self._copy)
        address.addStretch(1)
        layout.addWidget(self._name)
        layout.addLayout(address)
        layout.addWidget(self._state)
        layout.addWidget(self._why)
        layout.addWidget(self._next)
        layout.addWidget(self._chart)
        layout.addLayout(self._form)
        layout.addStretch(1)
        self.setWidget(body)
        self.show_peer(None, None, datetime.now().astimezone())

    def show_peer(self, peer: PeerStatus | None, history: History | None, now: datetime) -> None:
        for widget in (self._address, self._copy, self._why, self._next, self._chart):
            widget.setVisible(peer is not None)
        if peer is None:
            self._name.setText("Choose a machine")
            self._state.setText("Here stands which path leads to it, and why.")
            for field in self._fields.values():
                self._form.setRowVisible(field, False)
            return
        row = PeerRow.of(peer)
        self._name.setText(row.name)
        self._address.show_text(one_line(f"{peer['fqdn']}  {peer['ip']}", 2 * LONGEST_NAME))
        self._copy.text_to_copy = peer["ip"]
        measured = f", {latency_text(row.latency)}, loss {loss_text(row.loss)}" if row.latency is not None else ""
        self._state.setText(f"{row.state}{', ' + row.path.lower() if row.path != '-' else ''}{measured}")
        self._why.setText(one_line(sentence(peer["reason"]), 400))
        self._why.setVisible(bool(peer["reason"]))
        self._next.setText(one_line(sentence(peer["verdict"]["next"]), 400))
        self._next.setVisible(bool(peer["verdict"]["next"]))
        self._chart.show_history(history)
        for name, text in detail_fields(peer, now):
            if name not in self._fields:
                self._fields[name] = Text(name=name)
                self._form.addRow(f"{name}:", self._fields[name])
            self._fields[name].setText(text)
            self._form.setRowVisible(self._fields[name], True)
