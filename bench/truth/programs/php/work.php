<?php
$end = microtime(true) + 0.3;
while (microtime(true) < $end) json_decode(json_encode(range(0, 1000)));
no_such_function();
