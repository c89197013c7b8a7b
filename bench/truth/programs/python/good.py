import asyncio, email, json, sqlite3, ssl, sys, unittest, xml.dom.minidom
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), BaseHTTPRequestHandler).serve_forever()
