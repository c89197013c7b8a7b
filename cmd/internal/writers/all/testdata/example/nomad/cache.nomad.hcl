mode 0600
# written by daemonry, sha256 4e92436bd472a922c0f3ec08470fdd38b1525f60f3d8374f0361afba622bcb76 for cache
job "cache" {
  type = "service"
  group "cache" {
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
    task "cache" {
      driver = "exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "redis-server"
        args    = ["--bind", "127.0.0.1", "--port", "18639", "--supervised", "systemd", "--daemonize", "no", "--dir", "/tmp/daemonry-example/cache"]
      }
      env = {
        "EXAMPLE_DIR" = "/tmp/daemonry-example"
        "EXAMPLE_PORTS" = "1863"
      }
    }
  }
}
