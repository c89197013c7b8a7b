use strict; use Time::HiRes 'time';
my $end = time + 0.3;
my %h; my $i = 0;
while (time < $end) { $h{$i++ % 1000} = sqrt $i }
die "the third table is missing\n";
