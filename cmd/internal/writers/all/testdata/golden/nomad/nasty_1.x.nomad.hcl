mode 0600
# written by daemonry, sha256 2a314c4f30709eb89df5fc5a0a22fa858935dd4428036280b54d76cfe01557ff for nasty_1.x
job "nasty_1.x" {
  type = "service"
  group "nasty_1.x" {
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
    task "nasty_1.x" {
      driver = "exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
      config {
        command = "/opt/a b/prog"
        args    = ["", "it's", "say \"hi\"", "100%", "$HOME \u0024{HOME}", "back\\slash", "two\nlines", "é ☃", "a;b # c ; d"]
      }
      env = {
        "LINES" = "1\n2\n"
        "PATH" = "/opt/bin:/bin"
        "PERCENT" = "%n \u0025% $(X)"
        "QUOTES" = "'\""
        "SPACED" = " a  b "
      }
    }
  }
}
