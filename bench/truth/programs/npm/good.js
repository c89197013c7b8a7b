const [http, crypto, zlib] = ['http', 'crypto', 'zlib'].map(require)
http.createServer((q, a) => a.end('serving\n')).listen(Number(process.argv[2]), '127.0.0.1')
