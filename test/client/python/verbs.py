# Every verb of the client against a running service (CARRYOVER_URL); with NumPy arrays where there is NumPy.
import os
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.environ["CARRYOVER_CLIENT"])
from carryover import Answer, Carryover, CarryoverError, numpy

URL = os.environ["CARRYOVER_URL"]
RNN = {"W_x": [[0.5, -0.25]], "W_h": [[0.1, 0.2], [-0.3, 0.4]], "b": [0.01, -0.02]}
LSTM = {"type": "lstm", "W_x": [[0.5, -0.25, 1, 0.75]], "W_h": [[0.1, 0.2, -0.3, 0.4]]}
GRU = {"type": "gru", "W_x": [[0.5, -0.25, 1]], "W_h": [[0.1, 0.2, -0.3]]}
DENSE = {"type": "dense", "W": [[2, -1]], "b": [0, 0.5], "activation": "softmax"}
LAYERS = [LSTM, GRU, DENSE]
ROWS = [{"type": "embedding", "E": [[1], [-1], [0.5]]}, LSTM]
BOTH = {"type": "rnn", "activation": "relu", "direction": "bidirectional", "W_x": [[0.5]], "W_h": [[0.25]],
        "backward": {"W_x": [[-0.5]], "W_h": [[0.125]]}}
XS = [[[1], [-0.5]], [[0.25], [2]], [[0], [0.125]]]  # (T, N, D) = (3, 2, 1)


def lists(value):
    """Arrays as lists of the numbers that JSON has for them: the shortest that read back to the same float32."""
    if numpy is not None and isinstance(value, numpy.ndarray):
        assert value.dtype == numpy.float32, value.dtype
        return [float(str(number)) for number in value] if value.ndim == 1 else [lists(row) for row in value]
    if isinstance(value, Answer):
        return {name: lists(member) for name, member in vars(value).items() if member is not None and name != "session"}
    if isinstance(value, dict):
        return {name: lists(member) for name, member in value.items()}
    return [lists(entry) for entry in value] if isinstance(value, list) else value


def arrays(value):
    """All numbers of a call as arrays of float64."""
    if isinstance(value, dict):
        return {name: arrays(member) for name, member in value.items()}
    is_tensor = isinstance(value, list) and not isinstance(value[0], (dict, type(None)))
    if is_tensor and len({numpy.shape(entry) for entry in value}) == 1:
        return numpy.array(value)
    return [arrays(entry) for entry in value] if isinstance(value, list) else value


class Verbs(unittest.TestCase):
    def setUp(self):
        self.carryover = Carryover(URL)
        self.addCleanup(self.carryover.close)

    def both(self, call, *args, **named):
        """The answer in lists; that in arrays must have the same numbers."""
        answer = lists(call(*args, **named))
        if numpy is not None:
            keep = {name: named.pop(name) for name in ("lengths", "outputs") if name in named}
            with_arrays = call(*map(arrays, args), **{name: arrays(value) for name, value in named.items()}, **keep)
            self.assertEqual(lists(with_arrays), answer)
            first = next(value for value in vars(with_arrays).values() if value is not None)
            self.assertIsInstance(first[0] if isinstance(first, list) else first, numpy.ndarray)
        return answer

    def test_step(self):
        answer = self.both(self.carryover.step, [[1]], weights=RNN)
        self.assertEqual(answer["h"], [[0.4699452, -0.26362485]])
        self.assertEqual(answer["done"], False)
        traced = self.both(self.carryover.step, [[1]], weights=RNN, h=[[0.5, -0.5]], trace=True)
        self.assertEqual(sorted(traced["trace"]), ["h_W_h", "x_W_x", "z"])
        layers = self.both(self.carryover.step, [[1], [2]], weights={"layers": LAYERS}, trace=True)
        self.assertEqual([layer["layer"] for layer in layers["trace"]["layers"]], [0, 1])
        self.assertEqual(layers["c"][1], None)
        again = {"h": layers["h"], "c": layers["c"]}
        self.assertNotEqual(self.both(self.carryover.step, [[1], [2]], weights={"layers": LAYERS}, **again)["h"], layers["h"])
        self.both(self.carryover.step, [2, 0], weights={"layers": ROWS})
        # The first layer has no c.
        c = self.both(self.carryover.step, [[1]], weights={"layers": [GRU, LSTM]}, c=[None, [[0.5]]])["c"]
        self.assertEqual(c[0], None)

    def test_sequence(self):
        answer = self.both(self.carryover.sequence, XS, weights={"layers": LAYERS}, lengths=[3, 2])
        self.assertEqual([len(answer["hs"]), len(answer["ys"]), len(answer["y"])], [3, 3, 2])
        self.assertEqual(answer["hs"][2][1], [0])
        last = self.both(self.carryover.sequence, XS, weights=RNN, outputs=["h"], trace=True)
        self.assertNotIn("hs", last)
        self.both(self.carryover.sequence, XS, weights={"layers": [BOTH]}, layout="NTD")
        self.both(self.carryover.sequence, [[2], [0]], weights={"layers": ROWS})

    def test_stream(self):
        whole = self.carryover.sequence(XS, weights={"layers": LAYERS})
        forms = [XS] if numpy is None else [XS, numpy.array(XS)]
        for xs in forms:
            *items, last = self.carryover.stream_sequence(xs, weights={"layers": LAYERS})
            self.assertEqual([item.t for item in items], [1, 2, 3])
            self.assertEqual([lists(item.h) for item in items], whole.hs)
            self.assertEqual([lists(item.y) for item in items], whole.ys)
            self.assertEqual([last.done, last.t, lists(last.h), lists(last.c)], [True, 3, whole.h, whole.c])
        for item in self.carryover.stream_sequence(XS, weights=RNN):
            break  # what is not read costs no answer to the next call
        self.assertEqual(self.carryover.step([[1]], weights=RNN).h, [[0.4699452, -0.26362485]])
        with self.assertRaises(CarryoverError) as caught:
            list(self.carryover.stream_sequence([[[1, 2]]], weights=RNN))
        self.assertEqual(caught.exception.code, "shape_mismatch")

    def test_models(self):
        models = self.carryover.models
        info = models.register(weights=RNN, readout={"W_y": [[1], [-1]]}, name="python")
        self.assertEqual([info["D"], info["H"], info["O"], info["names"]], [1, 2, 1, ["python"]])
        layers = models.register(layers=[*ROWS, BOTH])
        if numpy is not None:
            again = models.register(weights=arrays(RNN), readout=arrays({"W_y": [[1], [-1]]}), name="python")
            self.assertEqual(again["id"], info["id"])
            self.assertEqual(models.register(layers=arrays([*ROWS, BOTH]))["id"], layers["id"])
        moved = models.point("python", layers["id"])
        self.assertIn("python", moved["names"])
        self.assertEqual(models.get("python")["id"], layers["id"])
        self.assertLessEqual({info["id"], layers["id"]}, {model["id"] for model in models.list()})
        models.delete(info["id"])
        models.delete("python")
        with self.assertRaises(CarryoverError) as caught:
            models.get("python")
        error = caught.exception
        self.assertEqual([error.status, error.code, error.applied], [404, "model_not_found", None])
        self.assertEqual(error.problem["detail"], str(error))

    def test_import_file(self):
        with open(os.environ["MODEL_FILE"], "rb") as file:
            data = file.read()
        layers = [{"type": "rnn", "name": "rnn", "activation": "tanh"}]
        info = self.carryover.models.import_file(data, name="imported", layers=layers)
        self.assertEqual([info["names"], info["tensors"]["W_x"]], [["imported"], "rnn.weight_ih_l0 (transposed)"])
        self.assertEqual(self.carryover.models.import_file(os.environ["MODEL_FILE"], activation="tanh")["id"], info["id"])
        with self.assertRaises(CarryoverError) as caught:
            self.carryover.models.import_file(data)
        self.assertEqual(caught.exception.code, "activation_unconfirmed")

    def test_session(self):
        carryover = self.carryover
        whole = carryover.sequence(XS, weights={"layers": LAYERS})
        session = carryover.sessions.create(weights={"layers": LAYERS}, N=2, keep=3, ttl_s=600)
        etag = session.etag
        answer = session.step(XS[0])
        self.assertEqual([answer.h, answer.session["t"], session.t], [carryover.step(XS[0], weights={"layers": LAYERS}).h, 1, 1])
        self.assertNotEqual(session.etag, etag)
        fork = session.fork()
        self.assertNotEqual(fork.id, session.id)
        rest = XS[1:] if numpy is None else numpy.array(XS[1:])
        answer = session.sequence(rest, outputs=["h", "ys"])
        self.assertEqual([lists(answer.h), session.t, fork.t], [whole.h, 3, 1])
        self.assertEqual(lists(fork.sequence(XS[1:]).h), whole.h)
        read = session.read()
        self.assertEqual([read.h, read.c, read.session["keep"], read.session["kept"]], [whole.h, whole.c, 3, [0, 1]])
        if numpy is not None:
            self.assertEqual(lists(session.read(arrays=True).c), whole.c)
        session.rewind(1)
        self.assertEqual([session.t, session.sequence(XS[1:]).h], [1, whole.h])
        session.set(h=read.h if numpy is None else arrays(read.h), c=read.c, t=7)
        self.assertEqual([session.t, session.read().h], [7, whole.h])
        self.assertEqual(session.step([[0], [0]], trace=True).trace["layers"][0]["layer"], 0)

        opened = carryover.sessions.open(session.id)
        self.assertEqual([opened.t, opened.etag], [8, session.etag])
        opened.step([[1], [1]])
        with self.assertRaises(CarryoverError) as caught:
            session.step([[1], [1]])
        self.assertEqual([caught.exception.code, caught.exception.applied], ["step_conflict", "no"])
        session.read()
        self.assertEqual(session.step([[1], [1]]).session["t"], 10)

        ids = {info["id"] for info in carryover.sessions.list()}
        self.assertLessEqual({session.id, fork.id}, ids)
        of_model = {info["id"] for info in carryover.sessions.list(read.session["model"])}
        self.assertEqual(of_model & ids, of_model)
        fork.delete()
        with carryover.sessions.open(session.id) as opened:
            pass
        for ended in (fork, session):
            with self.assertRaises(CarryoverError) as caught:
                ended.step([[1], [1]])
            self.assertEqual([caught.exception.status, caught.exception.code], [410, "session_gone"])

    def test_batch(self):
        items = lambda ids: [{"session": ids[0], "x": [[1]]}, {"session": ids[1], "x": XS, "outputs": ["hs", "h"]}, {"session": ids[0], "x": [[-1]]}]
        new = lambda: [self.carryover.sessions.create(weights=RNN, N=N).id for N in (1, 2)]
        answers = self.carryover.batch(items(new()))
        self.assertEqual([(answer.status, answer.applied, answer.session["t"]) for answer in answers], [(200, "yes", 1), (200, "yes", 3), (200, "yes", 2)])
        session = self.carryover.sessions.create(weights=RNN, N=2)
        self.assertEqual([lists(answers[1].hs), answers[1].session["digest"]], [session.sequence(XS).hs, session.read().session["digest"]])
        if numpy is not None:
            with_arrays = self.carryover.batch([{**item, "x": numpy.array(item["x"], "float32")} for item in items(new())])
            self.assertIsInstance(with_arrays[0].h, numpy.ndarray)
            self.assertEqual([lists(answer.h) for answer in with_arrays], [answer.h for answer in answers])
        ids = new()
        mine = {"session": ids[0], "x": [[0.5]], "key": "mine"}
        first, wrong, nobody = self.carryover.batch([mine, {"session": ids[0], "x": [[1, 2]]}, {"session": "nobody", "x": [[1]]}])
        self.assertEqual([wrong.status, wrong.applied, wrong.error.code, nobody.error.code], [422, "no", "shape_mismatch", "session_not_found"])
        (again,) = self.carryover.batch([mine])
        for wrong_items, error, text in [
            ([None], TypeError, r"items\[0\] to be a dict"),
            ([{"x": [[1]]}], TypeError, r"items\[0\]\['session'\] to be the id"),
            ([{"session": ids[0]}], TypeError, r"items\[0\]\['x'\] is missing"),
            ([{"session": ids[0], "x": [[1]], "key": str(k)} for k in range(65)], ValueError, r"items\[64\]\['key'\]"),
        ]:
            with self.assertRaisesRegex(error, text):
                self.carryover.batch(wrong_items)
        self.assertEqual([first.replayed, again.replayed, again.h], [False, True, first.h])
        many = self.carryover.batch({"session": ids[0], "x": [[k / 150]]} for k in range(150))
        self.assertEqual([answer.session["t"] for answer in many], list(range(2, 152)))

    def test_what_is_no_tensor(self):
        cases = [([[1.0, float("nan")]], "x[0][1] is nan, expected a finite number"), ([[1 + 2j]], "Expected real numbers, in nested lists or arrays, got a complex."), ([[object()]], "got an object.")]
        if numpy is not None:
            cases += [(numpy.array([[1 + 2j]]), "x is an array of complex128, expected real numbers"), (numpy.array([["a"]]), "x is an array of <U1, expected real numbers")]
        for x, message in cases:
            with self.assertRaises((TypeError, ValueError)) as caught:
                self.carryover.step(x, weights=RNN)
            self.assertIn(message, str(caught.exception))
        with self.assertRaisesRegex(ValueError, "characters that no key has"):
            Carryover(URL, "schlüssel")

    def test_threads_take_turns(self):
        session = self.carryover.sessions.create(model="sunspots")
        steps = lambda: [session.step([[0.5]]) for _ in range(10)]
        threads = [threading.Thread(target=steps) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(session.t, 40)
        session.delete()

    def test_ready_and_errors(self):
        self.carryover.wait_until_ready()
        nobody = Carryover("http://127.0.0.1:1", retry_for=0)
        with self.assertRaises(CarryoverError) as caught:
            nobody.step([[1]], weights=RNN)
        self.assertEqual([caught.exception.code, caught.exception.status], ["no_answer", 0])
        with self.assertRaises(CarryoverError):
            nobody.wait_until_ready(timeout=0.2)
        with self.assertRaises(ValueError):
            Carryover("127.0.0.1:8080")
        with self.assertRaises(ValueError):
            self.carryover.step([[float("nan")]], weights=RNN)

    def test_key(self):
        guarded = os.environ["GUARDED_URL"]
        with Carryover(guarded) as nobody, self.assertRaises(CarryoverError) as caught:
            nobody.step([[1]], weights=RNN)
        self.assertEqual([caught.exception.status, caught.exception.code], [401, "unauthenticated"])
        with Carryover(guarded, os.environ["API_KEY"]) as carryover:
            self.assertEqual(carryover.step([[1]], weights=RNN).h, [[0.4699452, -0.26362485]])


if __name__ == "__main__":
    unittest.main()
