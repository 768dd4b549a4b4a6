"""cherrypy.process.plugins, on a bus of their own: closes nothing, a pid file without a lock. The starter does not wait."""

import sys

import bench_ready
from cherrypy.process import plugins, wspbus

bus = wspbus.Bus()
plugins.Daemonizer(bus).subscribe()
plugins.PIDFile(bus, sys.argv[1]).subscribe()
bus.start()
bench_ready.say_and_stay()
