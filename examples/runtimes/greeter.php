<?php // A daemon that answers on port 8080 with the text of /tmp/greeting.
$library = FFI::cdef('
    void *daemonctx_new(void);
    int daemonctx_set_program_name(void *ctx, const char *name);
    int daemonctx_set_pid_file(void *ctx, const char *path);
    int daemonctx_set_manual_ready(void *ctx, int manual);
    int daemonctx_open(void *ctx);
    int daemonctx_ready(void *ctx);
    int daemonctx_fail(void *ctx, int status, const char *message);
    const char *daemonctx_error_text(const void *ctx);
    int daemonctx_exit_status(const void *ctx);
', 'libdaemonctx.so.0');
$ctx = $library->daemonctx_new();
if ($library->daemonctx_set_program_name($ctx, 'greeter') || $library->daemonctx_set_pid_file($ctx, '/tmp/greeter.pid') ||
    $library->daemonctx_set_manual_ready($ctx, 1) || $library->daemonctx_open($ctx)) {
    fwrite(STDERR, 'greeter: ' . $library->daemonctx_error_text($ctx) . "\n");
    exit($library->daemonctx_exit_status($ctx));
}
$load = fn() => file_get_contents('/tmp/greeting');
$greeting = $load();
$server = @stream_socket_server('tcp://127.0.0.1:8080', $number, $why);
if (!$server) {
    $library->daemonctx_fail($ctx, 1, "port 8080: $why");
    exit(1);
}
pcntl_async_signals(true);
pcntl_signal(SIGHUP, function () use (&$greeting, $load) { $greeting = $load(); });
pcntl_signal(SIGTERM, fn() => exit());
$library->daemonctx_ready($ctx);
while (true) {
    $client = @stream_socket_accept($server, 1); // one second: PHP calls handlers between two calls only
    if ($client) {
        @fwrite($client, $greeting);
        fclose($client);
    }
}
