mode 0600
# written by daemonry, sha256 86bba44fc06071f676b03738ab1caed060c830f531c3e580fe8c579c8ad6a19e for api
job "api" {
  type = "service"
  group "api" {
    count = 2
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
    task "api" {
      driver = "exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "python3"
        args    = ["-u", "stack/api.py", "1863{instance}"]
      }
      env = {
        "EXAMPLE_DIR" = "/tmp/daemonry-example"
        "EXAMPLE_PORTS" = "1863"
      }
    }
  }
}
