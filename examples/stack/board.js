// Counts in PostgreSQL. Asks it by psql, so that nothing needs to be installed.
const { execFile } = require('node:child_process')
const http = require('node:http')

const ports = process.env.EXAMPLE_PORTS
const query = 'WITH one AS (INSERT INTO visits VALUES (now())) SELECT count(*) + 1 FROM visits'
const args = ['-h', '127.0.0.1', '-p', ports + '8', '-U', 'postgres', '-qtAc', query]

http.createServer((request, response) => {
  execFile('psql', args, (error, out) => {
    response.statusCode = error ? 503 : 200
    response.end(error ? `${error.message}\n` : `visit ${out}`)
  })
}).listen(Number(ports + '7'), '127.0.0.1', () => console.log(`listening on ${ports}7`))
