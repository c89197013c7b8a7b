mode 0600
# written by daemonry, sha256 864dd5e6f27f41dfa097a5225a156b5e2cb1ff8bb15a11eba538a40cbc896196 for clock
job "clock" {
  type = "service"
  group "clock" {
    count = 1
    restart {
      attempts = 10
      interval = "5m0s"
      delay    = "100ms"
      mode     = "fail"
    }
    update {
      max_parallel      = 1
      min_healthy_time  = "100ms"
      healthy_deadline  = "30s"
      progress_deadline = "1m30s"
    }
    task "clock" {
      driver = "exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "sh"
        args    = ["-c", "while sleep 1; do date; done | sed -u 's/^/it is /'"]
      }
      env = {
        "EXAMPLE_DIR" = "/tmp/daemonry-example"
        "EXAMPLE_PORTS" = "1863"
      }
    }
  }
}
