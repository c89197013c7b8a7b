mode 0600
# written by daemonry, sha256 983671c694a7766b2ecaa2f3b5525b95f2e44ccaa97a60f8e4b4df3421952855 for web
job "web" {
  type = "service"
  group "web" {
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
    network {
      port "main" {
        static = 8080
      }
    }
    service {
      name     = "web"
      provider = "nomad"
      port     = "main"
      check {
        type     = "http"
        path     = "/health"
        protocol = "http"
        interval = "10s"
        timeout  = "5s"
      }
      check {
        type     = "tcp"
        interval = "10s"
        timeout  = "5s"
        check_restart {
          limit = 3
          grace = "0s"
        }
      }
    }
    task "web" {
      driver = "exec"
      user   = "www-data"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "/srv/shop/web"
        args    = ["--port", "8080"]
      }
      env = {
        "GREETING" = "hello, world"
      }
      resources {
        cores  = 2
        memory = 256
      }
    }
  }
}
