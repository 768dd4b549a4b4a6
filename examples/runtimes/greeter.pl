# A daemon that answers on port 8080 with the text of /tmp/greeting.
use strict;
use warnings;
use FFI::Platypus;
use IO::Socket::INET;

my $library = FFI::Platypus->new(api => 1, lib => 'libdaemonctx.so.0');
$library->attach(@$_) for
    [daemonctx_new => [] => 'opaque'],
    [daemonctx_set_program_name => ['opaque', 'string'] => 'int'],
    [daemonctx_set_pid_file => ['opaque', 'string'] => 'int'],
    [daemonctx_set_manual_ready => ['opaque', 'int'] => 'int'],
    [daemonctx_open => ['opaque'] => 'int'],
    [daemonctx_ready => ['opaque'] => 'int'],
    [daemonctx_fail => ['opaque', 'int', 'string'] => 'int'],
    [daemonctx_error_text => ['opaque'] => 'string'],
    [daemonctx_exit_status => ['opaque'] => 'int'];
my $ctx = daemonctx_new();
if (daemonctx_set_program_name($ctx, 'greeter') || daemonctx_set_pid_file($ctx, '/tmp/greeter.pid') ||
    daemonctx_set_manual_ready($ctx, 1) || daemonctx_open($ctx)) {
    print STDERR 'greeter: ', daemonctx_error_text($ctx), "\n";
    exit daemonctx_exit_status($ctx);
}
my $greeting;
sub load { open my $file, '<', '/tmp/greeting' or die "/tmp/greeting: $!\n"; local $/; $greeting = <$file> }
load();
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1:8080', Listen => 64, ReuseAddr => 1, Timeout => 1);
if (!$server) {
    daemonctx_fail($ctx, 1, "port 8080: $!");
    exit 1;
}
@SIG{qw(HUP TERM PIPE)} = (\&load, sub { exit }, 'IGNORE');
daemonctx_ready($ctx);
while (1) {
    my $client = $server->accept or next; # after a second: Perl calls handlers between two calls only
    print $client $greeting;
}
