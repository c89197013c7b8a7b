name=worker
tick() { printf '%s serving\n' "$name"; }
