require 'json'
finish = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 0.3
JSON.parse(JSON.generate((0..1000).to_a)) while Process.clock_gettime(Process::CLOCK_MONOTONIC) < finish
raise 'the third table is missing'
