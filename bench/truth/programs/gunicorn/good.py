import email, json, sqlite3, ssl, xml.dom.minidom

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"serving\n"]
