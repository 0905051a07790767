-- SPDX-License-Identifier: MIT
-- What wrk found, as a line of JSON like that of our own load generators.
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format('{"payloads": %d, "seconds": %.6f, "p99_usec": %.1f, "errors": %d}\n', summary.requests,
                           summary.duration / 1e6, latency:percentile(99), e.connect + e.read + e.write + e.status))
end
