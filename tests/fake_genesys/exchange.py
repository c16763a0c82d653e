"""One request and its answer: the delays, the clock that is read, the fields every answer has."""

import uuid
from dataclasses import replace

from .actions import perform
from .message import Answer, Request


class Exchange:
    def __init__(self, server, connection, request: Request, ordinal: int):
        self.server = server
        self.settings = server.settings
        self.connection = connection
        self.request = request
        self._node = connection.node
        if self.settings.clock_rotation == "request":
            self._node = server.clock.next_node()
        self.entry = server.record.received(request, connection, ordinal, self._read_clock().now)
        self.kind = self.entry["kind"]
        self._auth = ("", None, "")
        if self.kind == "token":
            self._auth = server.login.authenticate(request)
            self.entry.update(auth=self._auth[0], client=self._auth[2] or None)
        self.keep = not request.wants_close and self.settings.keep_alive > 0
        self._done = {"status": None, "correlation_id": str(uuid.uuid4())}
        self._delay_body = 0.0

    def run(self) -> bool:
        """Answers, or does what the fault whose turn it is says. True: the connection goes on."""
        fault = self.server.faults.take(self.kind, self.request.path, self.entry["client"],
                                        grant=self.entry["grant_type"])
        try:
            if fault is None:
                self.send(self.decide())
                return self.keep
            self._done["fault"] = f"{fault.number} {fault.action}"
            return perform(self, fault)
        finally:
            self.server.record.answered(self.entry, **self._done)

    def decide(self, more_delay: float = 0.0) -> Answer:
        """The proper answer, by the clock of the moment when the server's work is done."""
        self.connection.sleep(self.settings.delay_work + more_delay)
        now = self._read_clock().now
        if self.request.path.startswith("/api/"):
            answer, verdict, token = self.server.api.answer(self.request, now)
            self._done.update(auth=verdict, client=token and token.client_id)
            return answer
        answer, token = self.server.login.answer(self.request, self._auth,
                                                 self.server.url, now)
        self._note_issued(token)
        return answer

    def mint(self) -> str:
        """A new token's text for this request's client; "" if the client is not known."""
        if self._auth[1] is None:
            return ""
        token, _ = self.server.tokens.issue(self._auth[1], self._read_clock().now)
        self._note_issued(token)
        return token.text

    def _note_issued(self, token) -> None:
        if token is not None:
            self._done["token"] = token.fingerprint

    def serialise(self, answer: Answer) -> tuple[bytes, bytes]:
        """Header and body; the Date is of now. What is known of the exchange goes into the record
        before a byte is sent: whoever has the answer finds it there."""
        if self._done["status"] is None:
            self._done["status"] = answer.status
        self.server.record.known(self.entry, **self._done)
        common = {"ININ-Correlation-Id": self._done["correlation_id"], **self.settings.headers}
        if self.settings.date == "live":
            common["Date"] = self._read_clock().http_date(self.settings.date_stale)
        if not self.keep:
            common["Connection"] = "close"
        return answer.serialise(common, self.request.method == "HEAD")

    def send(self, answer: Answer, delay_answer: float = 0.0, delay_body: float = 0.0) -> None:
        head, body = self.serialise(answer)
        self.connection.sleep(self.settings.delay_answer + delay_answer)
        pause = self.settings.delay_body + delay_body
        if pause and body:
            self.connection.send(head)
            self.connection.sleep(pause)
            self.connection.send(body)
        else:
            self.connection.send(head + body)

    def _read_clock(self):
        reading = self.server.clock.read(self._node)
        if self.request.path.startswith("/api/"):
            return replace(reading, now=reading.now + self.settings.api_clock_offset)
        return reading
