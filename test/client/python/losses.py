# Steps of a session while its connections are lost: python3 losses.py URL SESSION STEPS RETRY_FOR step|batch. Prints what was
# counted. A call that fails is made once more, as by a program that knows nothing of what was applied; the client is to leave it none.
import json
import os
import sys

sys.path.insert(0, os.environ["CARRYOVER_CLIENT"])
from carryover import Carryover, CarryoverError

ITEMS = 5

url, id, steps, retry_for, verb = sys.argv[1:]
failed = 0


def until_answered(call):
    global failed
    while True:
        try:
            return call()
        except CarryoverError:
            failed += 1


def step_once_more(x):
    try:
        session.step(x)
    except CarryoverError:
        until_answered(session.read)
        raise


def send_batch(xs):
    for answer in carryover.batch({"session": id, "x": x} for x in xs):
        if answer.error is not None:
            raise answer.error


carryover = Carryover(url, retry_for=float(retry_for))
session = until_answered(lambda: carryover.sessions.open(id))
xs = [[[k % 100 / 128]] for k in range(int(steps))]
if verb == "step":
    for x in xs:
        until_answered(lambda: step_once_more(x))
else:
    for k in range(0, len(xs), ITEMS):
        until_answered(lambda: send_batch(xs[k : k + ITEMS]))
    until_answered(session.read)
print(json.dumps({"t": session.t, "failed": failed}))
