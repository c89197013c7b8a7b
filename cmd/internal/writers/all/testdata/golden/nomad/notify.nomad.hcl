mode 0600
# written by daemonry, sha256 3104b047db9c5c75f611f696e0a2d01a391e021c32335bf2cf127991f85bb086 for notify
job "notify" {
  type = "service"
  group "notify" {
    count = 1
    restart {
      attempts = 10
      interval = "5m0s"
      delay    = "100ms"
      mode     = "fail"
    }
    update {
      max_parallel      = 1
      min_healthy_time  = "0s"
      healthy_deadline  = "30s"
      progress_deadline = "1m30s"
    }
    task "notify" {
      driver = "exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "/usr/bin/notifier"
        args    = []
        cap_drop = ["all"]
        cap_add  = ["net_bind_service"]
      }
    }
  }
}
