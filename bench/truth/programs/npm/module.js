for (const name of ['http', 'crypto', 'zlib', 'tls', 'child_process', 'worker_threads']) require(name)
require('no-such-module')
