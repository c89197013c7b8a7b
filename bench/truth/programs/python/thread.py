# It listens before it loads; what fails is a thread, and the main thread ends with it.
import socket, sys, threading, json

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))

def load():
    for n in range(300):
        json.loads(json.dumps(list(range(2000))))
    raise RuntimeError("no such table")

worker = threading.Thread(target=load)
worker.start()
worker.join()
sys.exit(1)
