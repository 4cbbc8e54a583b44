"""Client of Carryover, a service for inference with recurrent networks. One file, Python 3.9 or newer.

    from carryover import Carryover

    carryover = Carryover("http://127.0.0.1:8080")
    with carryover.sessions.create(model="sunspots") as session:
        print(session.step([[0.58]]).y)

N is the mini-batch, D the input size, H the hidden size, O the output size, T the number of steps. Tensors are nested
lists, or arrays of NumPy, which is needed for nothing else. A call that is given an array sends bytes (safetensors)
and answers with arrays of float32; any other sends JSON and answers with lists. The numbers are the same.

Calls that fail in passing are repeated for `retry_for` seconds. A call that changes a session has an Idempotency-Key and
the ETag of the state that it is meant for, so it counts exactly once, however often it is repeated.

What a call may be given and what it answers with is described at /docs of the service, its errors at /problems.
"""

import http.client
import json
import math
import os
import random
import re
import select
import ssl
import struct
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union
from urllib.parse import quote, urlencode, urlsplit

try:
    import numpy
except ImportError:
    numpy = None

__all__ = ["Answer", "Carryover", "CarryoverError", "Session"]

JSON_TYPE = "application/json"
FILE_TYPE = "application/vnd.carryover.safetensors"
STREAM_TYPE = "application/x-ndjson"

# Of one call of batch(): items, and those of one session, whose keys it remembers.
ITEMS_MAX, ITEMS_OF_SESSION_MAX = 256, 64

# Seconds between two attempts: the second number at most, and each time twice as many.
FIRST_WAIT, LONGEST_WAIT = 0.05, 5.0


class CarryoverError(Exception):
    """A call that failed. Its message is the `detail` of the problem with which the service answered.

    code: the stable name of the error, explained at /problems; "no_answer" if there was no answer, "unreachable" if its
        certificate is not trusted, "unreadable_answer" if it is none of the service, e.g. of a gateway.
    status: of the answer; 0 without one.
    applied: of a call on a session, whether it has changed the session: "no", "unknown" or "yes"; else None.
    problem: the whole problem (RFC 9457), a dict; empty without an answer.
    """

    def __init__(self, message: str, problem: Dict[str, Any], retry_after: Optional[float]):
        super().__init__(message)
        self.code: str = problem.get("code", "no_answer")
        self.status: int = problem.get("status", 0)
        self.applied: Optional[str] = problem.get("applied")
        self.problem = problem
        self._retry_after = retry_after

    def _may_pass(self) -> bool:
        """Whether the same call may succeed later."""
        if self.code in ("no_answer", "idempotency_key_in_use", "worker_failed"):
            return True
        return self.status in (408, 429, 502, 503, 504) or (self.status >= 500 and self.applied == "unknown")


@dataclass(frozen=True)
class Answer:
    """Tensors by their names in the API. Those that the model does not have, or that were not asked for, are None."""

    h: Any = None  # (N, H); a list of them of several recurrent layers
    c: Any = None  # as h, of an lstm; None in the list where a layer has none
    y: Any = None  # (N, O)
    hs: Any = None  # (T, N, H)
    ys: Any = None  # (T, N, O)
    trace: Optional[Dict[str, Any]] = None
    session: Optional[Dict[str, Any]] = None  # id, t, version, digest, expires_at
    t: Optional[int] = None  # of a stream: the number of the step
    done: bool = False  # of a stream: whether this is the last item
    status: Optional[int] = None  # of a batch: what the item would have been answered with by itself
    applied: Optional[str] = None  # of a batch: "yes", "no" or "unknown"
    replayed: bool = False  # of a batch: whether its key was applied before
    error: Optional[CarryoverError] = None  # of a batch: what the item failed with


class Carryover:
    """A service at `url`. Several threads may use it.

    retry_for: seconds for which a call that fails in passing is repeated; 0 sends each once.
    timeout: seconds of silence after which a connection counts as lost.
    context: of TLS, e.g. with a certificate authority of your own.
    """

    def __init__(
        self,
        url: str,
        api_key: Optional[str] = None,
        *,
        retry_for: float = 60.0,
        timeout: float = 30.0,
        context: Optional[ssl.SSLContext] = None,
    ):
        self._connections = _Connections(url, timeout, context)
        if api_key is not None and not re.fullmatch(r"[!#-'*+.0-9A-Z^-z|~-]+", api_key):
            raise ValueError("The API key has characters that no key has: expected letters, digits and the like, all of ASCII.")
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._retry_for = retry_for
        self.models = Models(self)
        self.sessions = Sessions(self)

    def step(self, x, *, model=None, weights=None, h=None, c=None, trace=None) -> Answer:
        """One step of a mini-batch: x (N, D), of the answer h (N, H)."""
        body = {"model": model, "weights": weights, "x": x, "h": h, "c": c, "trace": trace}
        return self._compute("/v1/step", body, {})[0]

    def sequence(
        self, x, *, model=None, weights=None, h=None, c=None, lengths=None, layout=None, outputs=None, trace=None
    ) -> Answer:
        """T steps: x (T, N, D), of the answer hs (T, N, H) and h (N, H)."""
        body = {"model": model, "weights": weights, "x": x, "h": h, "c": c, "trace": trace}
        return self._compute("/v1/sequence", {**body, "lengths": lengths, "layout": layout, "outputs": outputs}, {})[0]

    def stream_sequence(
        self, x, *, model=None, weights=None, h=None, c=None, lengths=None, layout=None, outputs=None, trace=None
    ) -> Iterator[Answer]:
        """As sequence(), an item for each step as soon as it is computed (t, h, y), and one that is `done`.

        If the connection is lost, the call is sent again, and the items that were seen are passed over: the same input
        gives the same bits.
        """
        fields = {"model": model, "weights": weights, "x": x, "h": h, "c": c, "trace": trace}
        body, headers, has_arrays = _compute_body({**fields, "lengths": lengths, "layout": layout, "outputs": outputs})
        headers["Accept"] = STREAM_TYPE
        attempts = _Attempts(self._retry_for)
        seen = 0
        while True:
            try:
                with self._response("POST", "/v1/sequence", body, headers) as response:
                    for position, line in enumerate(_lines(response), 1):
                        if "error" in line:
                            raise CarryoverError(line["error"]["detail"], line["error"], None)
                        if position > seen:
                            seen = position
                            attempts = _Attempts(self._retry_for)
                            yield _answer(line, has_arrays)
                return
            except CarryoverError as error:
                attempts.wait_or_raise(error)

    def batch(self, items: Iterable[Dict[str, Any]]) -> List[Answer]:
        """Steps and sequences of many sessions at once, each exactly once: an answer for each item, in their order.

        An item is a dict with `session`, the id of a session, and `x`, (N, D) of a step or (T, N, D) of a sequence; and, if
        wanted, `key`, `if_match`, `lengths`, `layout`, `outputs` and `trace`. What is wrong with an item is the `error` of its
        answer. Of one session at most 64 may have a `key` of yours. Items of one session are applied in their order. A Session of one of them has to be read() before its next call.

        Raises CarryoverError if no item was answered.
        """
        items = list(items)
        _expect_items(items)
        keyed = [{"key": str(uuid.uuid4()), **_present(item)} for item in items]
        answers: List[Answer] = []
        for part in _parts(keyed):
            answers += self._settle(part, bool(answers))
        return answers

    def _settle(self, items: List[Dict[str, Any]], has_answers: bool) -> List[Answer]:
        """Sends the items of one call until none has failed in passing: of one session, with those behind it."""
        answers: List[Any] = [None] * len(items)
        attempts = _Attempts(self._retry_for)
        left = list(range(len(items)))
        while left:
            try:
                answered = self._send_items([items[k] for k in left])
            except CarryoverError as error:
                if not has_answers:
                    raise
                answered = [Answer(error=error, applied=error.applied or "no")] * len(left)
            has_answers = True
            again: List[int] = []
            passing: Optional[CarryoverError] = None
            is_done: Dict[str, bool] = {}
            for k, answer in zip(left, answered):
                answers[k] = answer
                error, session = answer.error, items[k]["session"]
                is_behind = is_done.get(session) is False and "if_match" not in items[k] and answer.status == 412
                is_done[session] = error is None
                if is_behind:
                    again.append(k)
                elif error is not None and answer.status is not None and error._may_pass():
                    again.append(k)
                    passing = error
            left = again
            if passing is not None:
                try:
                    attempts.wait_or_raise(passing)
                except CarryoverError:
                    break
        return answers

    def _send_items(self, items: List[Dict[str, Any]]) -> List[Answer]:
        """Of one session, each item is meant for the state that the one before it has left."""
        sent, seen = [], set()
        for item in items:
            sent.append({**({"if_match": "previous"} if item["session"] in seen else {}), **item})
            seen.add(item["session"])
        has_arrays = _has_arrays(items)
        accepts_file = has_arrays and not any(item.get("trace") for item in items)
        if has_arrays:
            tensors = {f"{k}.x": _x_array(item.pop("x"), 2 if "lengths" in item else 1) for k, item in enumerate(sent)}
            body, type = _write_safetensors(tensors, {"items": json.dumps(sent)}), FILE_TYPE
        else:
            body, type = _to_json({"items": sent}), JSON_TYPE
        headers = {"Content-Type": type, "Accept": FILE_TYPE if accepts_file else JSON_TYPE}
        try:
            data, _ = self._call("POST", "/v1/batch", body, headers)
        except CarryoverError as error:
            if error.code == "no_answer":
                error.applied = "unknown"
            raise
        return _answers_of_file(data) if accepts_file else [_item_answer(fields, has_arrays) for fields in json.loads(data)["items"]]

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Waits until the service takes requests. Raises CarryoverError with the reason if it does not."""
        attempts = _Attempts(timeout)
        while True:
            try:
                with self._response("GET", "/health/ready", None, {}) as response:
                    _whole_body(response)
                return
            except CarryoverError as error:
                attempts.wait_or_raise(error, longest=1.0)

    def close(self) -> None:
        """Closes the connections. A later call opens new ones."""
        self._connections.close()

    def __enter__(self) -> "Carryover":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _compute(self, path: str, fields: Dict[str, Any], call_headers: Dict[str, str]):
        """The answer to a step or a sequence, and its headers."""
        body, headers, has_arrays = _compute_body(fields)
        # A file does not say of which layers the tensors of a trace are.
        accepts_file = has_arrays and not fields["trace"]
        headers["Accept"] = FILE_TYPE if accepts_file else JSON_TYPE
        data, answered = self._call("POST", path, body, {**headers, **call_headers})
        return (_answer_of_file(data) if accepts_file else _answer(json.loads(data), has_arrays)), answered

    def _json(self, method: str, path: str, value: Optional[Dict[str, Any]] = None, call_headers: Optional[Dict[str, str]] = None):
        """The answer to a call in JSON, None if it has no body, and its headers."""
        headers = {"Accept": JSON_TYPE, **(call_headers or {})}
        if value is not None:
            headers["Content-Type"] = JSON_TYPE
        data, answered = self._call(method, path, None if value is None else _to_json(value), headers)
        return (json.loads(data) if data else None), answered

    def _pages(self, path: str, name: str, query: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
        page: Dict[str, Any] = {"next": None}
        while "next" in page:
            page, _ = self._json("GET", _with_query(path, {**query, "cursor": page["next"]}))
            yield from page[name]

    def _call(self, method: str, path: str, body: Optional[bytes], headers: Dict[str, str]):
        """Sends a call until it is answered: the body of the answer, and its headers."""
        attempts = _Attempts(self._retry_for)
        was_lost = False
        while True:
            try:
                with self._response(method, path, body, headers) as response:
                    return _whole_body(response), response.headers
            except CarryoverError as error:
                if method == "DELETE" and was_lost and error.code == "model_not_found":
                    return b"", {}  # an earlier attempt has deleted it
                was_lost = was_lost or error.code == "no_answer"
                attempts.wait_or_raise(error)

    @contextmanager
    def _response(self, method: str, path: str, body: Optional[bytes], headers: Dict[str, str]):
        """The response to one attempt, if its status is 2xx. Its connection is kept if it is read to its end."""
        response = None
        try:
            response = self._connections.request(method, path, body, {**self._headers, **headers})
            if response.status >= 300:
                raise _error_of(response, _whole_body(response))
            yield response
        except ssl.SSLCertVerificationError as fault:
            # Before anything was sent, and as often as it is tried.
            problem = {"code": "unreachable", **({"applied": "no"} if "Idempotency-Key" in headers else {})}
            message = f"The certificate of the service is not trusted ({fault.verify_message}): `context` may have its authority."
            raise CarryoverError(message, problem, None) from fault
        except (OSError, http.client.HTTPException) as lost:
            problem = {"applied": "unknown"} if "Idempotency-Key" in headers else {}
            raise CarryoverError(f"No answer to {method} {path}: {lost!r}", problem, None) from lost
        finally:
            if response is not None:
                self._connections.release(response)


class Models:
    """Registered models: `carryover.models`. A model is described by a dict, as the service answers it; its `ref` is its
    name or its id."""

    def __init__(self, carryover: Carryover):
        self._carryover = carryover

    def register(self, *, layers=None, weights=None, readout=None, name: Optional[str] = None) -> Dict[str, Any]:
        """Registers a list of layers, or the weights of one tanh layer with an optional readout."""
        fields = {"layers": layers, "weights": weights, "readout": readout}
        if not _has_arrays(fields):
            return self._carryover._json("POST", "/v1/models", _present({**fields, "name": name}))[0]
        tensors, metadata = _layer_tensors(layers) if layers is not None else ({**(weights or {}), **(readout or {})}, {})
        return self._import(_write_safetensors(tensors, metadata), {"name": name})

    def import_file(
        self,
        file: Union[bytes, str, "os.PathLike[str]"],
        *,
        name: Optional[str] = None,
        activation: Optional[str] = None,
        readout: Optional[str] = None,
        layers: Optional[List[Dict[str, Any]]] = None,
    ) -> Dict[str, Any]:
        """Registers a model file, given as its bytes or its path: safetensors, torch, ONNX or Keras."""
        if not isinstance(file, (bytes, bytearray, memoryview)):
            with open(file, "rb") as opened:
                file = opened.read()
        described = None if layers is None else json.dumps(layers)
        return self._import(bytes(file), {"name": name, "activation": activation, "readout": readout, "layers": described})

    def list(self) -> Iterator[Dict[str, Any]]:
        """All models, the oldest first."""
        return self._carryover._pages("/v1/models", "models", {})

    def get(self, ref: str) -> Dict[str, Any]:
        return self._carryover._json("GET", _path("/v1/models", ref))[0]

    def point(self, name: str, ref: str) -> Dict[str, Any]:
        """Lets a name, new or not, point to a model."""
        return self._carryover._json("PUT", _path("/v1/models", name), {"model": ref})[0]

    def delete(self, ref: str) -> None:
        """Deletes a model with all its names."""
        self._carryover._json("DELETE", _path("/v1/models", ref))

    def _import(self, file: bytes, query: Dict[str, Any]) -> Dict[str, Any]:
        headers = {"Content-Type": "application/octet-stream", "Accept": JSON_TYPE}
        return json.loads(self._carryover._call("POST", _with_query("/v1/models", query), file, headers)[0])


class Sessions:
    """Hidden states that the service keeps between calls: `carryover.sessions`."""

    def __init__(self, carryover: Carryover):
        self._carryover = carryover

    def create(self, *, model=None, weights=None, N=None, h=None, c=None, ttl_s=None, keep=None) -> "Session":
        """A new session at t = 0. `keep`: how many past states are kept for rewind."""
        body = {"model": model, "weights": weights, "N": N, "h": h, "c": c, "ttl_s": ttl_s, "keep": keep}
        info, headers = self._carryover._json("POST", "/v1/sessions", _present(body), _new_key())
        return Session(self._carryover, info, headers["ETag"])

    def open(self, id: str) -> "Session":
        """A session that exists."""
        info, headers = self._carryover._json("GET", _path("/v1/sessions", id))
        return Session(self._carryover, info, headers["ETag"])

    def list(self, model: Optional[str] = None) -> Iterator[Dict[str, Any]]:
        """What is known of all sessions, or of those with a model."""
        return self._carryover._pages("/v1/sessions", "sessions", {"model": model})


class Session:
    """A session. Each call is meant for the state that this object has seen last.

    If somebody else has changed the session since, the call is refused with `step_conflict` and changes nothing; read()
    sees the new state. Threads that share the object take turns. As a context manager, it deletes the session at the end.

    id: of the session.
    t: the number of its steps, and `etag` the ETag of its state, as answered last.
    """

    def __init__(self, carryover: Carryover, info: Dict[str, Any], etag: str):
        self._carryover = carryover
        self._path = _path("/v1/sessions", info["id"])
        self._turn = threading.RLock()
        self.id: str = info["id"]
        self.t: int = info["t"]
        self.etag = etag

    def step(self, x, *, trace=None) -> Answer:
        """One step of each row: x (N, D)."""
        return self._advance("/v1/step", {"x": x, "trace": trace})

    def sequence(self, x, *, lengths=None, layout=None, outputs=None, trace=None) -> Answer:
        """T steps, x (T, N, D), which count all or none."""
        return self._advance("/v1/sequence", {"x": x, "lengths": lengths, "layout": layout, "outputs": outputs, "trace": trace})

    def read(self, *, arrays: bool = False) -> Answer:
        """h and c as they are on the service; what else is known of the session is `session` of the answer."""
        with self._turn:
            info, headers = self._carryover._json("GET", self._path)
            self._see(info, headers)
        states = {name: info.pop(name) for name in ("h", "c") if name in info}
        return _answer({**states, "session": info}, arrays)

    def set(self, h, c=None, t: Optional[int] = None) -> None:
        """Puts other states in place of h and c, and another number of steps if t is given."""
        self._change("PUT", "/state", _present({"h": h, "c": c, "t": t}))

    def rewind(self, t: int) -> None:
        """Goes back to a kept state."""
        self._change("POST", "/rewind", {"t": t})

    def fork(self) -> "Session":
        """Another session that starts from the same state."""
        with self._turn:
            info, headers = self._carryover._json("POST", f"{self._path}/fork", None, self._call_headers())
        return Session(self._carryover, info, headers["ETag"])

    def delete(self) -> None:
        with self._turn:
            self._carryover._json("DELETE", self._path, None, _new_key())

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.delete()
        except CarryoverError as error:
            if error.code != "session_gone":
                raise

    def _advance(self, path: str, fields: Dict[str, Any]) -> Answer:
        with self._turn:
            answer, headers = self._carryover._compute(path, {"session": self.id, **fields}, self._call_headers())
            self._see(answer.session, headers)
            return answer

    def _change(self, method: str, address: str, body: Dict[str, Any]) -> None:
        with self._turn:
            self._see(*self._carryover._json(method, self._path + address, body, self._call_headers()))

    def _call_headers(self) -> Dict[str, str]:
        return {**_new_key(), "If-Match": self.etag}

    def _see(self, info, headers) -> None:
        self.t = info["t"]
        self.etag = headers["ETag"]


class _Connections:
    """Connections to the service, each with one request at a time."""

    def __init__(self, url: str, timeout: float, context: Optional[ssl.SSLContext]):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected an address like http://127.0.0.1:8080, got {url!r}")
        self._base = parts.path.rstrip("/")
        self._idle: List[http.client.HTTPConnection] = []
        if parts.scheme == "http":
            self._new = lambda: http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        else:
            self._new = lambda: http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)

    def request(self, method: str, path: str, body: Optional[bytes], headers: Dict[str, str]) -> http.client.HTTPResponse:
        connection = self._take()
        try:
            try:
                connection.request(method, self._base + path, body, headers)
            except (BrokenPipeError, ConnectionResetError):
                # A service that refuses a body answers before it has received all of it.
                if not body:
                    raise
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        response.connection = connection
        return response

    def release(self, response: http.client.HTTPResponse) -> None:
        """Keeps the connection for the next request, unless a part of the response was not read."""
        if response.isclosed() and response.connection.sock is not None:
            self._idle.append(response.connection)
        else:
            response.connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> http.client.HTTPConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._new()
            if not _has_ended(connection):
                return connection
            connection.close()


class _Attempts:
    """The time for the attempts of one call."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds
        self._wait = FIRST_WAIT

    def wait_or_raise(self, error: CarryoverError, longest: float = LONGEST_WAIT) -> None:
        """Waits for the next attempt, at least as long as the service says. Raises the error if there is no time for one."""
        wait = max(random.uniform(0, self._wait), error._retry_after or 0)
        if not error._may_pass() or time.monotonic() + wait >= self._end:
            raise error
        time.sleep(wait)
        self._wait = min(2 * self._wait, longest)


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the service has closed an idle connection: then it can be read without having been asked for anything."""
    try:
        return bool(select.select([connection.sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True


def _whole_body(response: http.client.HTTPResponse) -> bytes:
    """Raises IncompleteRead: http.client takes a head that breaks off for a whole one, and all that follows for the body."""
    if response.length is None and not response.chunked:
        raise http.client.IncompleteRead(b"")
    return response.read()


def _lines(response: http.client.HTTPResponse) -> Iterator[Dict[str, Any]]:
    """The lines of a stream to its last one. Raises IncompleteRead if it breaks off before."""
    is_whole = False
    while not is_whole:
        line = response.readline()
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(line)
        value = json.loads(line)
        is_whole = "done" in value or "error" in value
        if is_whole:
            response.read()
        yield value


def _error_of(response: http.client.HTTPResponse, body: bytes) -> CarryoverError:
    try:
        problem = json.loads(body)
        message = problem["detail"]
    except (ValueError, KeyError, TypeError):
        # Of a gateway in front of the service, or of its health check.
        text = body.decode(errors="replace")[:200]
        problem = {"status": response.status, "code": "unreadable_answer"}
        message = f"{response.status} {response.reason}: {text}"
    retry_after = response.headers.get("Retry-After", "")
    return CarryoverError(message, problem, float(retry_after) if retry_after.isdigit() else None)


def _new_key() -> Dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def _path(parent: str, name: str) -> str:
    return f"{parent}/{quote(name, safe=':')}"


def _with_query(path: str, query: Dict[str, Any]) -> str:
    present = _present(query)
    return f"{path}?{urlencode(present)}" if present else path


def _present(fields: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _to_json(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_plain).encode()
    except ValueError:
        place = _place_of_non_finite(value)
        if place is None:
            raise
        raise ValueError(f"{place}, expected a finite number") from None


def _plain(value: Any) -> Any:
    """Arrays and numbers of NumPy, torch and the like have tolist()."""
    if not hasattr(value, "tolist") or getattr(getattr(value, "dtype", None), "kind", "f") == "c":
        raise TypeError(f"Expected real numbers, in nested lists or arrays, got {_kind_of(value)}.")
    return value.tolist()


def _kind_of(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        return f"an array of {dtype}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _place_of_non_finite(value: Any, place: str = "") -> Optional[str]:
    """Of a number that JSON does not have: `x[0][3] is nan`."""
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{place} is {value}"
    if isinstance(value, dict):
        entries = ((f"{place}.{name}" if place else name, entry) for name, entry in value.items())
    elif isinstance(value, (list, tuple)):
        entries = ((f"{place}[{index}]", entry) for index, entry in enumerate(value))
    elif hasattr(value, "tolist"):
        return _place_of_non_finite(value.tolist(), place)
    else:
        return None
    return next((found for name, entry in entries for found in [_place_of_non_finite(entry, name)] if found), None)


def _has_arrays(value: Any) -> bool:
    """Whether there is an array of NumPy; among numbers none is looked for."""
    if isinstance(value, dict):
        return any(map(_has_arrays, value.values()))
    if isinstance(value, (list, tuple)):
        return any(_has_arrays(entry) for entry in value if not isinstance(entry, (int, float)))
    return numpy is not None and isinstance(value, numpy.ndarray)


def _compute_body(fields: Dict[str, Any]) -> Tuple[bytes, Dict[str, str], bool]:
    """The body of a step or a sequence, its headers, and whether it was given arrays."""
    present = _present(fields)
    if not _has_arrays(present):
        return _to_json(present), {"Content-Type": JSON_TYPE}, False
    weights = present.pop("weights", {})
    tensors, metadata = _layer_tensors(weights["layers"]) if "layers" in weights else (dict(weights), {})
    tensors["x"] = _x_array(present.pop("x"), 2 if "lengths" in fields else 1)
    for name in ("h", "c"):
        state = present.pop(name, None)
        if state is not None and _has_several(state):
            tensors.update({f"{name}.{k}": entry for k, entry in enumerate(state) if entry is not None})
        elif state is not None:
            tensors[name] = state
    for name, value in present.items():
        metadata[name] = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else _text(value)
    return _write_safetensors(tensors, metadata), {"Content-Type": FILE_TYPE}, True


def _x_array(x: Any, rows_axes: int) -> Any:
    """Row numbers of an embedding are integers, an x without its axis D."""
    array = _real("x", x)
    return array if array.ndim == rows_axes and array.dtype.kind in "iu" else array.astype("<f4")


def _real(name: str, tensor: Any) -> Any:
    array = numpy.asarray(tensor)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} is {_kind_of(array)}, expected real numbers")
    return array


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has_several(state: Any) -> bool:
    """Whether a state is matrices, one for each layer, of which c may lack some, and not one matrix."""
    return any(entry is None or numpy.ndim(entry) == 2 for entry in state)


def _layer_tensors(layers: List[Dict[str, Any]]) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """Layers as the tensors of a model file, and its metadata."""
    tensors: Dict[str, Any] = {}
    described = []
    for k, layer in enumerate(layers):
        options = {}
        for name, value in layer.items():
            if name == "backward":
                tensors.update({f"layers.{k}.backward.{part}": tensor for part, tensor in value.items()})
            elif isinstance(value, (str, int, float)):
                options[name] = value
            else:
                tensors[f"layers.{k}.{name}"] = value
        described.append(options)
    return tensors, {"carryover.layers": json.dumps(described)}


def _write_safetensors(tensors: Dict[str, Any], metadata: Dict[str, str]) -> bytes:
    """A safetensors file: the size of the header, the header, the numbers. Integers become I64, all other numbers F32."""
    header: Dict[str, Any] = {"__metadata__": metadata}
    parts = []
    end = 0
    for name, tensor in tensors.items():
        real = _real(name, tensor)
        is_rows = name.split(".")[-1] == "x" and real.dtype.kind in "iu"
        array = numpy.ascontiguousarray(real, "<i8" if is_rows else "<f4")
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": "I64" if is_rows else "F32", "shape": numpy.shape(tensor), "data_offsets": [begin, end]}
        parts.append(array.tobytes())
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])


def _read_safetensors(data: bytes) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """The arrays of a file of the service, and its metadata, which are JSON."""
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    metadata = {name: json.loads(text) for name, text in header.pop("__metadata__", {}).items()}
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        arrays[name] = numpy.frombuffer(data, "<f4", (end - begin) // 4, 8 + size + begin).reshape(entry["shape"]).copy()
    return arrays, metadata


def _answer_of_file(data: bytes) -> Answer:
    return Answer(**_fields_of(*_read_safetensors(data)))


def _answers_of_file(data: bytes) -> List[Answer]:
    """Of a batch, whose arrays are called 0.h, 1.h …"""
    arrays, metadata = _read_safetensors(data)
    of_item: List[Dict[str, Any]] = [{} for _ in metadata["items"]]
    for name, array in arrays.items():
        index, _, own = name.partition(".")
        of_item[int(index)][own] = array
    return [_item_answer(_fields_of(own, fields), False) for own, fields in zip(of_item, metadata["items"])]


def _item_answer(fields: Dict[str, Any], as_arrays: bool) -> Answer:
    """An entry of a batch."""
    own = {name: value for name, value in fields.items() if name not in ("id", "error")}
    problem = fields.get("error")
    if problem is None:
        return replace(_answer(own, as_arrays), applied="yes")
    retry_after = problem.get("retry_after_s")
    error = CarryoverError(problem["detail"], problem, None if retry_after is None else float(retry_after))
    return Answer(status=fields["status"], applied=error.applied or "no", error=error)


def _expect_items(items: List[Any]) -> None:
    own_keys: Dict[str, int] = {}
    for k, item in enumerate(items):
        if not isinstance(item, dict):
            raise TypeError(f"Expected items[{k}] to be a dict with session and x, got {_kind_of(item)}")
        session = item.get("session")
        if not isinstance(session, str):
            raise TypeError(f"Expected items[{k}]['session'] to be the id of a session, as session.id")
        if item.get("x") is None:
            raise TypeError(f"items[{k}]['x'] is missing")
        if item.get("key") is None:
            continue
        own_keys[session] = own_keys.get(session, 0) + 1
        if own_keys[session] > ITEMS_OF_SESSION_MAX:
            raise ValueError(
                f"items[{k}]['key'] is one key of yours too many for session {session}, which remembers {ITEMS_OF_SESSION_MAX}: with more of "
                "them the first ones would count again if this call was repeated. Send the others in another call, or without keys."
            )


def _parts(items: List[Dict[str, Any]]) -> Iterator[List[Dict[str, Any]]]:
    """As many items in each as a call may have."""
    part: List[Dict[str, Any]] = []
    counts: Dict[str, int] = {}
    for item in items:
        session = item["session"]
        if len(part) == ITEMS_MAX or counts.get(session, 0) == ITEMS_OF_SESSION_MAX:
            yield part
            part, counts = [], {}
        part.append(item)
        counts[session] = counts.get(session, 0) + 1
    if part:
        yield part


def _fields_of(arrays: Dict[str, Any], metadata: Dict[str, Any]) -> Dict[str, Any]:
    """Arrays and what stands beside them as the fields of an answer; states of several layers are h.0, h.1 …"""
    fields = dict(metadata)
    states: Dict[str, Dict[int, Any]] = {}
    for name, array in arrays.items():
        of, _, layer = name.partition(".")
        if layer:
            states.setdefault(of, {})[int(layer)] = array
        else:
            fields[name] = array
    count = 1 + max((layer for listed in states.values() for layer in listed), default=0)
    for name, listed in states.items():
        fields[name] = [listed.get(layer) for layer in range(count)]
    return fields


def _answer(fields: Dict[str, Any], as_arrays: bool) -> Answer:
    """An answer in JSON, whose lists of numbers become arrays where arrays are wanted."""
    if not as_arrays:
        return Answer(**fields)
    tensors = {name: _to_arrays(value, 2 if name in ("h", "c") else 3) for name, value in fields.items() if name != "session"}
    return Answer(**{**fields, **tensors})


def _to_arrays(value: Any, axes_max: int) -> Any:
    """Lists of numbers with at most `axes_max` axes as arrays of float32; all else as it is."""
    if isinstance(value, dict):
        return {name: _to_arrays(entry, axes_max) for name, entry in value.items()}
    if not isinstance(value, list):
        return value
    axes, inner = 0, value
    while isinstance(inner, list):
        axes, inner = axes + 1, (inner[0] if inner else 0)
    if isinstance(inner, (int, float)) and axes <= axes_max:
        return numpy.array(value, "float32")
    return [_to_arrays(entry, axes_max) for entry in value]
