<?php
function serve($port {
