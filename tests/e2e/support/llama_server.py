"""llama.cpp's own HTTP server on loopback, until it is told to stop: MODEL PORT."""

import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[2])
params.n_ctx = 2048
params.n_parallel = 2
params.cpuparams.n_threads = 1
params.n_threads_http = 4
params.warmup = False
params.endpoint_metrics = True

server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
signal.pause()
