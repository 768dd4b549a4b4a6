-- A daemon that answers on port 8080 with the text of /tmp/greeting.
local ffi, socket = require("ffi"), require("socket")
ffi.cdef [[
    void *daemonctx_new(void);
    int daemonctx_set_program_name(void *ctx, const char *name);
    int daemonctx_set_pid_file(void *ctx, const char *path);
    int daemonctx_set_manual_ready(void *ctx, int manual);
    int daemonctx_open(void *ctx);
    int daemonctx_ready(void *ctx);
    int daemonctx_fail(void *ctx, int status, const char *message);
    const char *daemonctx_error_text(const void *ctx);
    int daemonctx_exit_status(const void *ctx);
]]
local library = ffi.load("libdaemonctx.so.0")
local ctx = library.daemonctx_new()
if library.daemonctx_set_program_name(ctx, "greeter") ~= 0 or library.daemonctx_set_pid_file(ctx, "/tmp/greeter.pid") ~= 0 or
    library.daemonctx_set_manual_ready(ctx, 1) ~= 0 or library.daemonctx_open(ctx) ~= 0 then
    io.stderr:write("greeter: ", ffi.string(library.daemonctx_error_text(ctx)), "\n")
    os.exit(library.daemonctx_exit_status(ctx))
end
local server, why = socket.bind("127.0.0.1", 8080)
if not server then
    library.daemonctx_fail(ctx, 1, "port 8080: " .. why)
    os.exit(1)
end
library.daemonctx_ready(ctx)
while true do
    local client = server:accept()
    local file = io.open("/tmp/greeting") -- for each answer: no handler of a signal can be in Lua
    client:send(file:read("*a"))
    file:close()
    client:close()
end
