# Steps of a session while its connections are lost: python3 losses.py URL SESSION STEPS RETRY_FOR. Prints what was counted.
# A call that fails is made once more, as by a program that knows nothing of what was applied; the client is to leave it none.
import json
import os
import sys

sys.path.insert(0, os.environ["CARRYOVER_CLIENT"])
from carryover import Carryover, CarryoverError

url, id, steps, retry_for = sys.argv[1:]
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


carryover = Carryover(url, retry_for=float(retry_for))
session = until_answered(lambda: carryover.sessions.open(id))
for k in range(int(steps)):
    until_answered(lambda: step_once_more([[k % 100 / 128]]))
print(json.dumps({"t": session.t, "failed": failed}))
