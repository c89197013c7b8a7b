mode 0600
# written by daemonry, sha256 cae45c06b907475da360b21efafbdef6b0f9cf6b9ed21d178946aa9cb491e665 for prepare
job "prepare" {
  type = "batch"
  group "prepare" {
    count = 1
    restart {
      attempts = 0
      interval = "5m0s"
      delay    = "100ms"
      mode     = "fail"
    }
    task "prepare" {
      driver = "exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "sh"
        args    = ["-c", "    mkdir -p \"\u0024{EXAMPLE_DIR}/cache\" \"\u0024{EXAMPLE_DIR}/front\"\n    sed \"s/1863/\u0024{EXAMPLE_PORTS}/\" stack/nginx.conf >\"\u0024{EXAMPLE_DIR}/front/nginx.conf\""]
      }
      env = {
        "EXAMPLE_DIR" = "/tmp/daemonry-example"
        "EXAMPLE_PORTS" = "1863"
      }
    }
  }
}
