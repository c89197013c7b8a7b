mode 0600
# written by daemonry, sha256 dc56cbd527028f5fc32c296565d8c927695bcc8982d53c68c10bfa72a73a95d4 for migrate
job "migrate" {
  type = "batch"
  group "migrate" {
    count = 1
    restart {
      attempts = 0
      interval = "5m0s"
      delay    = "100ms"
      mode     = "fail"
    }
    task "migrate" {
      driver = "exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "/usr/bin/migrate"
        args    = []
      }
    }
  }
}
