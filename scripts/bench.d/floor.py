"""The floor of the journey of `scripts/bench load`: a client of C (`floor.c`) that does nothing else.

What dyno sends to the shop is recorded once by a relay between the two: each request's bytes, its
connection, and its moment, unless it follows the connection's last answer at once. The client sends the
same bytes at the same moments over as many connections, from one thread that waits in epoll, and looks
for the end of each answer only. No client that makes these requests costs less on this machine.
"""
import asyncio
import pathlib
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
# A request that comes sooner after an answer waited for it alone: pauses are half a second at least.
AT_ONCE = 0.25


class Recorder:
    """A relay before a server that writes down what is asked of it."""

    def __init__(self, at):
        host, _, port = at.rpartition(":")
        self.target, self.requests, self.n_connections = (host, int(port)), [], 0
        self.loop, started = asyncio.new_event_loop(), threading.Event()
        threading.Thread(target=self.run, args=(started,), daemon=True).start()
        started.wait()

    def run(self, started):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        self.loop.run_forever()

    async def serve(self, reader, writer):
        number, self.n_connections = self.n_connections, self.n_connections + 1
        there, back = await asyncio.open_connection(*self.target)
        state = {"request": None, "answered": 0.0}

        async def ask():
            while piece := await reader.read(1 << 16):
                if state["request"]:
                    state["request"]["bytes"] += piece
                else:
                    at = time.monotonic()
                    moment = None if at - state["answered"] < AT_ONCE else at
                    state["request"] = {"connection": number, "moment": moment, "bytes": piece, "is_answered": False}
                    self.requests.append(state["request"])
                back.write(piece)
            back.close()

        async def answer():
            while piece := await there.read(1 << 16):
                if state["request"]:
                    state["request"]["is_answered"] = True
                state["request"], state["answered"] = None, time.monotonic()
                writer.write(piece)
            writer.close()

        await asyncio.gather(ask(), answer(), return_exceptions=True)

    def write(self, file):
        """Writes the requests for the client, those that were answered; their moments from the first one's."""
        begun = self.requests[0]["moment"]
        with file.open("wb") as out:
            for one in filter(lambda one: one["is_answered"], self.requests):
                moment = 0 if one["moment"] is None else max(1, int((one["moment"] - begun) * 1e6))
                out.write(b"%d %d %d\n%b" % (one["connection"], moment, len(one["bytes"]), one["bytes"]))


def build(folder):
    """The client, by the system's compiler."""
    program = folder / "floor"
    subprocess.run(["cc", "-O2", "-o", program, HERE / "floor.c"], check=True)
    return program
