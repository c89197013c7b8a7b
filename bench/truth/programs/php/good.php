<?php
echo "serving\n";
