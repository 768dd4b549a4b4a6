"""Random programs of libdaemon's interface, each run with the original and with ours."""
