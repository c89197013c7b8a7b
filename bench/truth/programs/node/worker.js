// The work is done, and fails, in a thread of its own, which ends the program.
const { Worker } = require('worker_threads')
new Worker(`
const end = Date.now() + 400
while (Date.now() < end) JSON.parse(JSON.stringify([...Array(1000).keys()]))
throw new Error('the third table is missing')`, { eval: true })
