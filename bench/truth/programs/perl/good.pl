use strict; use warnings;
use IO::Socket::INET; use POSIX; use Data::Dumper; use File::Find; use Storable; use Encode;
my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ARGV[0], Listen => 5) or die "bind: $!\n";
while (my $c = $s->accept) { close $c }
