// Answers on port 8080 with the text of /tmp/greeting. Without an argument it starts itself as a daemon.
import java.io.IOException;
import java.lang.foreign.*;
import java.net.*;
import java.nio.file.*;
import java.util.stream.Stream;

class Greeter {
    static void serve() throws IOException {
        var server = new ServerSocket(8080, 64, InetAddress.getByName("127.0.0.1"));
        Files.writeString(Path.of("/dev/fd/3"), "\n");
        while (true) {
            try (var client = server.accept()) {
                Files.copy(Path.of("/tmp/greeting"), client.getOutputStream());
            } catch (IOException why) {
                System.err.println(why);
            }
        }
    }

    static class Library {
        static final SymbolLookup SYMBOLS = SymbolLookup.libraryLookup("libdaemonctx.so.0", Arena.global());

        static Object call(MemoryLayout result, String name, Object... values) throws Throwable {
            var arguments = Stream.of(values).map(value -> value instanceof String text ? Arena.global().allocateFrom(text) : value);
            var list = arguments.toArray();
            var types = Stream.of(list).map(value -> value instanceof Integer ? ValueLayout.JAVA_INT : ValueLayout.ADDRESS);
            var function = FunctionDescriptor.of(result, types.toArray(MemoryLayout[]::new));
            return Linker.nativeLinker().downcallHandle(SYMBOLS.find(name).get(), function).invokeWithArguments(list);
        }

        static int status(String name, Object... values) throws Throwable {
            return (int) call(ValueLayout.JAVA_INT, name, values);
        }
    }

    static int launch(String... arguments) throws Throwable {
        var argv = Arena.global().allocate(ValueLayout.ADDRESS, arguments.length + 1); // NULL is the last one
        for (int i = 0; i < arguments.length; i++)
            argv.setAtIndex(ValueLayout.ADDRESS, i, Arena.global().allocateFrom(arguments[i]));
        var none = MemorySegment.NULL;
        var ctx = Library.call(ValueLayout.ADDRESS, "daemonctx_new");
        if (Library.status("daemonctx_set_program_name", ctx, "greeter") != 0
                || Library.status("daemonctx_set_pid_file", ctx, "/tmp/greeter.pid") != 0
                || Library.status("daemonctx_set_stream_file", ctx, 2, "/tmp/greeter.log") != 0
                || Library.status("daemonctx_set_readiness", ctx, "fd") != 0
                || Library.status("daemonctx_launch", ctx, "/proc/self/exe", argv, none, none) != 0) {
            var text = (MemorySegment) Library.call(ValueLayout.ADDRESS, "daemonctx_error_text", ctx);
            System.err.println("greeter: " + text.reinterpret(Long.MAX_VALUE).getString(0));
        }
        return Library.status("daemonctx_exit_status", ctx);
    }

    public static void main(String[] arguments) throws Throwable {
        if (arguments.length == 0)
            System.exit(launch("java", "-cp", Path.of("").toAbsolutePath().toString(), "Greeter", "serve"));
        serve();
    }
}
