# The workers load this, while the master listens.
import email, json, sqlite3, ssl, xml.dom.minidom
import no_such_module
