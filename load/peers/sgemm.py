"""The practical peak of one core: a float32 matrix product by numpy's BLAS.

Prints one line of JSON with the versions, then the GFLOP/s of one sample for every line of input.
"""
import json
import re
import sys
import time

import numpy

SIZE = 512
SAMPLE_SECONDS = 0.02


def blas_in_use():
    """The BLAS library that is loaded, or 'unknown' without /proc."""
    try:
        with open('/proc/self/maps') as maps:
            found = re.findall(r'openblas|mkl|blis|libblas', maps.read())
    except OSError:
        return 'unknown'
    # Debian's OpenBLAS is also called libblas, in a folder named openblas.
    return next((name for name in found if name != 'libblas'), 'reference' if found else 'unknown')


def sample(a, b, out):
    """GFLOP/s. The first product is not timed: it fills the caches."""
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
