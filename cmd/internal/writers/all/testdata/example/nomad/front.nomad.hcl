mode 0600
# written by daemonry, sha256 55a00bce9ebf0c5f98aef3a7d817e79b3fafbfa3d4223a26047f87a12e6c0592 for front
job "front" {
  type = "service"
  group "front" {
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
    network {
      port "main" {
        static = 18630
      }
    }
    service {
      name     = "front"
      provider = "nomad"
      port     = "main"
      check {
        type     = "tcp"
        interval = "10s"
        timeout  = "5s"
      }
    }
    task "front" {
      driver = "exec"
      kill_signal  = "SIGQUIT"
      kill_timeout = "10s"
      config {
        command = "sh"
        args    = ["-c", "exec nginx -p \"\u0024{EXAMPLE_DIR}/front\" -c nginx.conf"]
      }
      env = {
        "EXAMPLE_DIR" = "/tmp/daemonry-example"
        "EXAMPLE_PORTS" = "1863"
      }
    }
  }
}
