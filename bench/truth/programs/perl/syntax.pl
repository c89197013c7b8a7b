use strict; use POSIX; use Data::Dumper;
my $port = ;
