mode 0600
# written by daemonry, sha256 27599fbac6c2d6e9a416c54cc2f033a51011e3542e6e4ce4106cfd6dcde0248c for backup
job "backup" {
  type = "batch"
  periodic {
    crons            = ["30 4 * * 1-5"]
    prohibit_overlap = true
  }
  group "backup" {
    count = 1
    restart {
      attempts = 0
      interval = "5m0s"
      delay    = "100ms"
      mode     = "fail"
    }
    task "backup" {
      driver = "exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "/usr/bin/backup"
        args    = ["--all"]
      }
    }
  }
}
