const http = require('http')
http.createServer((q, a) => { a.end('serving\n') }.listen(80
