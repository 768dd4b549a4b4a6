// Answers on port 8080 with the text of /tmp/greeting. Without an argument it starts itself as a daemon.
package main

/*
#cgo pkg-config: daemonctx
#include <daemonctx.h>
#include <stdio.h>

static int launch(void)
{
    const char *const arguments[] = {"greeter", "serve", NULL};
    daemonctx *ctx = daemonctx_new();

    if (!ctx || daemonctx_set_program_name(ctx, "greeter") || daemonctx_set_pid_file(ctx, "/tmp/greeter.pid") ||
        daemonctx_set_stream_file(ctx, 2, "/tmp/greeter.log") || daemonctx_set_readiness(ctx, "fd") ||
        daemonctx_launch(ctx, "/proc/self/exe", arguments, NULL, NULL))
        fprintf(stderr, "greeter: %s\n", daemonctx_error_text(ctx));
    return daemonctx_exit_status(ctx);
}
*/
import "C"

import (
	"log"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

var greeting atomic.Value

func load() {
	text, err := os.ReadFile("/tmp/greeting")
	if err != nil {
		log.Fatal(err)
	}
	greeting.Store(text)
}

func serve(server net.Listener) {
	for {
		client, err := server.Accept()
		if err != nil {
			log.Fatal(err)
		}
		client.Write(greeting.Load().([]byte))
		client.Close()
	}
}

func main() {
	if len(os.Args) == 1 {
		os.Exit(int(C.launch()))
	}
	load()
	server, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	go serve(server)
	ready := os.NewFile(3, "ready")
	ready.WriteString("\n")
	ready.Close()
	for <-signals == syscall.SIGHUP {
		load()
	}
}
