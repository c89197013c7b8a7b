mode 0600
# written by daemonry, sha256 ee44d9fe3b50ebfce4ee95102ff547f3a827213a90827e3af1510f1baad321d4 for clock
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
      min_healthy_time  = "250ms"
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
