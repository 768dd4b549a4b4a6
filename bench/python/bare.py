"""A bare interpreter: it is ready when it runs, and leaves."""

import bench_ready

bench_ready.say()
