import time

time.sleep(0.6)
raise ConnectionError("no answer from the queue")
