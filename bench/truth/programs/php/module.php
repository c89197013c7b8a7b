<?php
for ($i = 0; $i < 100000; $i++) $a[] = md5($i);
require 'vendor/autoload.php';
