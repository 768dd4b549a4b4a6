# Answers on port 8080 with the text of /tmp/greeting. Without an argument it starts itself as a daemon.
require "fiddle/import"
require "socket"

def serve
  greeting = File.read("/tmp/greeting")
  server = TCPServer.new("127.0.0.1", 8080)
  trap("HUP") { greeting = File.read("/tmp/greeting") }
  trap("TERM") { exit }
  IO.open(3, "w") { |ready| ready.write("\n") }
  loop do
    client = server.accept
    client.write(greeting) rescue warn($!)
    client.close
  end
end

module Library
  extend Fiddle::Importer
  dlload "libdaemonctx.so.0"
  extern "void *daemonctx_new()"
  extern "int daemonctx_set_program_name(void *, const char *)"
  extern "int daemonctx_set_pid_file(void *, const char *)"
  extern "int daemonctx_set_stream_file(void *, int, const char *)"
  extern "int daemonctx_set_readiness(void *, const char *)"
  extern "int daemonctx_launch(void *, const char *, const char **, const char **, int *)"
  extern "char *daemonctx_error_text(void *)"
  extern "int daemonctx_exit_status(void *)"
end

def launch
  ctx = Library.daemonctx_new
  arguments = ["ruby", File.expand_path(__FILE__), "serve", nil].pack("p*")
  unless Library.daemonctx_set_program_name(ctx, "greeter").zero? &&
         Library.daemonctx_set_pid_file(ctx, "/tmp/greeter.pid").zero? &&
         Library.daemonctx_set_stream_file(ctx, 2, "/tmp/greeter.log").zero? &&
         Library.daemonctx_set_readiness(ctx, "fd").zero? &&
         Library.daemonctx_launch(ctx, "/proc/self/exe", arguments, nil, nil).zero?
    warn "greeter: #{Library.daemonctx_error_text(ctx)}"
  end
  exit Library.daemonctx_exit_status(ctx)
end

ARGV.empty? ? launch : serve
