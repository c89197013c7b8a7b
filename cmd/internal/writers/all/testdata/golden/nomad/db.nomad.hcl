mode 0600
# written by daemonry, sha256 387d79be537c1167aa6323f733da5c13d2fdaf1b3be6bb4b8310afc65535968e for db
job "db" {
  type = "service"
  group "db" {
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
    task "db" {
      driver = "exec"
      user   = "db"
      kill_signal  = "SIGINT"
      kill_timeout = "40s"
      config {
        command = "/usr/bin/db"
        args    = ["serve"]
      }
    }
  }
}
