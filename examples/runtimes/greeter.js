// Answers on port 8080 with the text of /tmp/greeting. Without an argument it starts itself as a daemon.
const fs = require("node:fs");
const load = () => fs.readFileSync("/tmp/greeting");

function serve() {
    let greeting = load();
    const server = require("node:net").createServer((client) => client.on("error", () => {}).end(greeting));
    process.on("SIGHUP", () => { greeting = load(); });
    process.on("SIGTERM", () => process.exit());
    server.listen(8080, "127.0.0.1", () => { fs.writeSync(3, "\n"); fs.closeSync(3); });
}

function launch() {
    const library = require("koffi").load("libdaemonctx.so.0");
    const call = (prototype, ...values) => library.func(prototype)(...values);
    const ctx = call("void *daemonctx_new()");
    if (call("int daemonctx_set_program_name(void *, const char *)", ctx, "greeter") ||
        call("int daemonctx_set_pid_file(void *, const char *)", ctx, "/tmp/greeter.pid") ||
        call("int daemonctx_set_stream_file(void *, int, const char *)", ctx, 2, "/tmp/greeter.log") ||
        call("int daemonctx_set_readiness(void *, const char *)", ctx, "fd") ||
        call("int daemonctx_launch(void *, const char *, const char **, const char **, int *)", ctx, "/proc/self/exe",
             ["node", __filename, "serve", null], null, null))
        console.error("greeter: " + call("const char *daemonctx_error_text(void *)", ctx));
    process.exitCode = call("int daemonctx_exit_status(void *)", ctx);
}

process.argv[2] === "serve" ? serve() : launch();
