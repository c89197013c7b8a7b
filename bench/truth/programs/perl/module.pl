use strict;
use IO::Socket::INET; use POSIX; use Data::Dumper; use File::Find; use Storable; use Encode;
require No::Such::Module;
