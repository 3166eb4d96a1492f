"""Raw gRPC calls from a process of another user.

As a module it is the tests' side: Caller(scratch, socket, uid). Run as a program it is the process that calls: it
drops to the user's rights and then takes one JSON command a line from stdin and answers each with one line.
"""

import base64
import json
import os
import queue
import subprocess
import sys
import threading

HEADER = [("workload.spiffe.io", "true")]


class RpcError(Exception):
    """A call that did not answer OK: code is the name, such as PERMISSION_DENIED."""

    def __init__(self, code, message, details=b""):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.details = code, message, details


class Caller:
    """A process of `uid` that is connected to `socket` and calls whatever it is told to."""

    def __init__(self, socket, uid, env=None):
        self.child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, __file__, str(socket), str(uid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True)
        self.uid = uid
        self._next_stream = 0

    @property
    def pid(self):
        return self.child.pid

    def call(self, path, request=b"", answer_type=None, metadata=HEADER, timeout=10):
        """One unary call. `request` is a message or bytes. Returns bytes or an `answer_type`; raises RpcError."""
        data = self._ask(op="unary", path=path, request=_encode(request), metadata=metadata, timeout=timeout)
        return _decode(data, answer_type)

    def open(self, path, request=b"", answer_type=None, metadata=HEADER):
        self._next_stream += 1
        stream = Stream(self, self._next_stream, answer_type)
        self._ask(op="open", stream=stream.number, path=path, request=_encode(request), metadata=metadata)
        return stream

    def x509_svid(self, protos):
        """The first X509-SVID that it is given, with key and bundle."""
        stream = self.open("/SpiffeWorkloadAPI/FetchX509SVID", answer_type=protos.workload.X509SVIDResponse)
        try:
            return stream.next().svids[0]
        finally:
            stream.cancel()

    def cancel_all(self):
        self._ask(op="cancel_all")

    def become(self, uid):
        """A caller of root becomes another user; its connection stays."""
        self._ask(op="become", uid=uid)
        self.uid = uid

    def _ask(self, **command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, "the calling process ended"
        answer = json.loads(line)
        if "code" in answer:
            raise RpcError(answer["code"], answer["message"], base64.b64decode(answer["details"]))
        return base64.b64decode(answer["ok"])

    def close(self):
        self.child.stdin.close()
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Stream:
    """A server stream held open by a Caller."""

    def __init__(self, caller, number, answer_type):
        self.caller, self.number, self.answer_type = caller, number, answer_type

    def next(self, timeout=10):
        """The next message. RpcError when the stream ends; code TEST_TIMEOUT when nothing came."""
        data = self.caller._ask(op="next", stream=self.number, timeout=timeout)
        return _decode(data, self.answer_type)

    def cancel(self):
        self.caller._ask(op="cancel", stream=self.number)


def _encode(request):
    data = request if isinstance(request, bytes) else request.SerializeToString()
    return base64.b64encode(data).decode()


def _decode(data, answer_type):
    if answer_type is None:
        return data
    answer = answer_type()
    answer.ParseFromString(data)
    return answer


class Worker:
    """The program's side. `grpc` is imported before rights are dropped: the package may be out of reach after."""

    def __init__(self, socket, uid):
        import grpc
        self.grpc = grpc
        # Connects at the first call, so as the other user.
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=[("grpc.max_receive_message_length", 64 << 20)])
        if uid != 0:
            self.become({"uid": uid})
        self.streams = {}

    def become(self, c):
        os.setgroups([])
        os.setresgid(c["uid"], c["uid"], c["uid"])
        os.setresuid(c["uid"], c["uid"], c["uid"])
        return {"ok": ""}

    def failure(self, error):
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        return {"code": error.code().name, "message": error.details() or "", "details": base64.b64encode(details).decode()}

    def unary(self, c):
        method = self.channel.unary_unary(c["path"])
        answer = method(base64.b64decode(c["request"]), metadata=_metadata(c), timeout=c["timeout"], wait_for_ready=False)
        return {"ok": base64.b64encode(answer).decode()}

    def open(self, c):
        call = self.channel.unary_stream(c["path"])(base64.b64decode(c["request"]), metadata=_metadata(c))
        messages = queue.Queue()
        self.streams[c["stream"]] = (call, messages)

        def drain():
            try:
                for message in call:
                    messages.put({"ok": base64.b64encode(message).decode()})
                messages.put({"code": "OK", "message": "end of stream", "details": ""})
            except self.grpc.RpcError as error:
                messages.put(self.failure(error))
        threading.Thread(target=drain, daemon=True).start()
        return {"ok": ""}

    def next(self, c):
        try:
            return self.streams[c["stream"]][1].get(timeout=c["timeout"])
        except queue.Empty:
            return {"code": "TEST_TIMEOUT", "message": f"no message in {c['timeout']} s", "details": ""}

    def cancel(self, c):
        self.streams.pop(c["stream"])[0].cancel()
        return {"ok": ""}

    def cancel_all(self, _):
        while self.streams:
            self.streams.popitem()[1][0].cancel()
        return {"ok": ""}

    def serve(self):
        for line in sys.stdin:
            command = json.loads(line)
            try:
                answer = getattr(self, command["op"])(command)
            except self.grpc.RpcError as error:
                answer = self.failure(error)
            print(json.dumps(answer), flush=True)


def _metadata(command):
    return [tuple(pair) for pair in command["metadata"]]


if __name__ == "__main__":
    Worker(sys.argv[1], int(sys.argv[2])).serve()
    os._exit(0)
