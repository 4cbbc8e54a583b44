"""What one core can do: a float32 matrix product by the BLAS that numpy has.

Says which in one line of JSON, then answers every line of input with the GFLOP/s of one sample.
"""
import json
import re
import sys
import time

import numpy

SIZE = 512
SAMPLE_SECONDS = 0.02


def blas_in_use():
    """The BLAS library that is loaded, where the system tells, else 'unknown'."""
    try:
        with open('/proc/self/maps') as maps:
            found = re.findall(r'openblas|mkl|blis|libblas', maps.read())
    except OSError:
        return 'unknown'
    # Debian keeps OpenBLAS under the name libblas too, in a folder that has its own name.
    return next((name for name in found if name != 'libblas'), 'reference' if found else 'unknown')


def sample(a, b, out):
    """GFLOP/s; the first product is not timed, it wakes the core and fills the caches."""
    numpy.matmul(a, b, out=out)
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < SAMPLE_SECONDS:
        numpy.matmul(a, b, out=out)
        count += 1
    return 2 * SIZE**3 * count / (time.perf_counter() - start) / 1e9


def main():
    generator = numpy.random.default_rng(1)
    a, b = generator.random((2, SIZE, SIZE), dtype=numpy.float32)
    out = a @ b
    print(json.dumps({'numpy': numpy.__version__, 'blas': blas_in_use()}), flush=True)
    for _ in sys.stdin:
        print(sample(a, b, out), flush=True)


main()
