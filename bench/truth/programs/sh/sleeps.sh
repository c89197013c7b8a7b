sleep 1
exit 3
