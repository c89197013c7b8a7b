import asyncio, email, json, sqlite3, ssl, sys, unittest, xml.dom.minidom
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import no_such_module
